"""Training and serving for long: memory and open files must stay level (`make soak`).

    inputs      the drawn sample and the tiny network that both work on
    training    the process that trains, epoch after epoch
    serving     the process that answers photos
    clients     those who ask it
    samples     memory and open files of a process and all below it
    growth      whether a series grows
    table       results and plot

It needs psutil, one of the packages for development.
"""
