"""`fab dgx-*`: the pipeline on any Linux host with SSH and a container engine.

    settings    the host file
    commands    command lines, built by pure functions
    runner      runs them through the OpenSSH client, which checks host keys and reads the user's ssh config
    failures    exceptions and exit statuses for failures of ssh, rsync and docker
    lock        one command at a time changes the workspace
    job         the labelled container that runs the stages: start, find, follow, stop
    tree, dvc_files, sync, fetch    transfer to and from the host
    outcome     results, log and exit status of an ended job
    image, doctor    building the image, checking the host
    entrypoint, gpu_check    run inside the container
    tasks       the Fabric tasks

Nothing here imports the model: the tasks start in a fraction of a second.
"""
