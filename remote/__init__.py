"""`fab dgx-*`: the pipeline on any Linux host with SSH and a container engine.

    settings    the host file: where and how
    commands    every command line, built by pure functions
    runner      sends them through the OpenSSH client, which checks host keys and reads the user's ssh config
    failures    what the exit status and the last words of ssh, rsync and docker mean, and what to do
    lock        one command at a time changes the workspace
    job         the labelled container that runs the stages: start, find, follow, stop
    tree, dvc_files, sync, fetch    what goes there and what comes back
    image, doctor    building the image, checking the host
    entrypoint, gpu_check    run inside the container
    tasks       the Fabric tasks

Nothing here imports the model: the tasks start in a fraction of a second.
"""
