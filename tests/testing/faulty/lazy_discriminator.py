"""directions: D raises the scores of generated images, or leaves them"""


class Mine:
    def discriminator(self, real, fake):  # here
        return -real.mean()

    def generator(self, fake, real):
        return -fake.mean()


def lab_register(registry):
    registry.add("gan_loss", "lazy_discriminator", Mine, summary="faulty")
