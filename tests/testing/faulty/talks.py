"""watches: it prints 'step 4'"""


class Mine:  # here
    def step_logged(self, run, step, scalars):
        print("step", step)


def lab_register(registry):
    registry.add("observer", "talks", Mine, summary="faulty")
