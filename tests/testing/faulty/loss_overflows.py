"""losses: discriminator is inf for scores around 100"""


class Mine:
    def discriminator(self, real, fake):  # here
        return ((-real).exp() + fake.exp()).mean()

    def generator(self, fake, real):
        return -fake.mean()


def lab_register(registry):
    registry.add("gan_loss", "loss_overflows", Mine, summary="faulty")
