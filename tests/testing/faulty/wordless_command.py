"""commands: the command 'hum' does not say what it does"""


def hum():  # here
    print("hm")


def lab_commands(app):
    app.command()(hum)


# Its command has no docstring.
