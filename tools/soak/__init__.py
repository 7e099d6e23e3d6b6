"""Long runs of training and serving, in which memory and open files must stay level (`make soak`).

    inputs      the synthetic sample and the tiny network of both
    training    the process that trains epoch after epoch
    serving     the server process
    clients     client threads of the server
    samples     memory and open files of a process tree
    growth      whether a series grows
    results     JSON and plot

It needs psutil, one of the development packages.
"""
