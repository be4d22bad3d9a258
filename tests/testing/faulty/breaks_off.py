"""launches: a run that fails ends them all"""


class Mine:
    def launch(self, jobs, say):  # here
        for job in jobs:
            job.execute()
        return {}


def lab_register(registry):
    registry.add("launcher", "breaks_off", Mine, summary="faulty")
