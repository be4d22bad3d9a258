"""commands: there is a command 'run' already"""


def run():  # here
    """Not lab's."""


def lab_commands(app):
    app.command()(run)


# Its command has the name of one that there is.
