"""The Inception extractor with generated weights: the network, and where its weights come from."""

import hashlib
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from PIL import Image

from pluglab.errors import UserError
from pluglab_metrics.extractors.inception import FILE, inception_body, network_input, resize


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A weight file of the right shape, full of reproducible noise."""
    path = tmp_path_factory.mktemp("server") / FILE
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, value in inception_body().state_dict().items():
        fan = max(1, value[0].numel()) if value.ndim > 1 else 1
        noise = torch.rand(value.shape, generator=generator)
        state[name] = 0.5 + noise if value.ndim < 2 else (noise - 0.5) * (12 / fan) ** 0.5
        state[name] = torch.tensor(0) if name.endswith("num_batches_tracked") else state[name]
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def digest(weights):
    return hashlib.sha256(weights.read_bytes()).hexdigest()


@pytest.fixture
def server(weights):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            """Says nothing."""

    running = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=weights.parent))
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}/{FILE}"
    running.shutdown()
    running.server_close()


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (2, 3, 40, 32), generator=generator).to(torch.uint8)


def test_network_and_resizing_equal_torch_fidelity(build, weights, digest, images, data_context):
    fidelity = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    reference = fidelity.FeatureExtractorInceptionV3(
        "reference", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(weights)
    )
    expected, logits = reference(images)
    extractor = build("feature_extractor", "inception", sha256=digest)
    extractor.prepare(replace(data_context, root=weights.parent))
    found = extractor(images)
    assert expected.std() > 1e-3
    torch.testing.assert_close(found.features, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())
    torch.testing.assert_close(found.logits, logits, rtol=1e-4, atol=1e-4 * logits.abs().max().item())
    gray = extractor(images[:, :1])
    torch.testing.assert_close(gray.features, extractor(images[:, :1].expand(-1, 3, -1, -1)).features)


@pytest.mark.parametrize("shape", [(7, 5), (299, 299), (400, 31)])
def test_resizing_equals_torch_fidelity(shape):
    fidelity = pytest.importorskip("torch_fidelity.interpolate_compat_tensorflow")
    images = 255 * torch.rand(2, 3, *shape, generator=torch.Generator().manual_seed(0))
    expected = fidelity.interpolate_bilinear_2d_like_tensorflow1x(
        images, size=(299, 299), align_corners=False
    )
    torch.testing.assert_close(resize(images, 299), expected, rtol=0, atol=2e-3)


def test_downloads_once_into_the_cache(build, server, digest, images, data_context):
    first = build("feature_extractor", "inception", url=server, sha256=digest)
    first.prepare(data_context)
    assert [path.name for path in (data_context.cache / "weights").iterdir()] == [FILE]
    offline = build("feature_extractor", "inception", url="http://127.0.0.1:9/none", sha256=digest)
    offline.prepare(replace(data_context, root=data_context.cache / "no such root"))
    assert torch.equal(first(images[:1]).features, offline(images[:1]).features)


def test_no_network_is_an_error_with_a_way_out(build, data_context):
    extractor = build("feature_extractor", "inception", url="http://127.0.0.1:9/none")
    with pytest.raises(UserError, match="cannot be downloaded") as error:
        extractor.prepare(data_context)
    assert "data root" in error.value.help[0] and "digit_classifier" in error.value.help[1]
    assert not list((data_context.cache / "weights").iterdir())


def test_a_download_with_another_checksum_is_refused(build, server, data_context):
    extractor = build("feature_extractor", "inception", url=server)
    with pytest.raises(UserError, match="hash"):
        extractor.prepare(data_context)
    assert not list((data_context.cache / "weights").iterdir())


def test_a_file_with_another_checksum_is_refused(build, data_context, tmp_path):
    (tmp_path / FILE).write_bytes(b"something else")
    with pytest.raises(UserError, match="not the expected Inception network"):
        build("feature_extractor", "inception").prepare(replace(data_context, root=tmp_path))


def test_a_file_with_another_network_is_refused(build, data_context, tmp_path):
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / FILE)
    digest = hashlib.sha256((tmp_path / FILE).read_bytes()).hexdigest()
    with pytest.raises(UserError, match="does not hold the Inception network"):
        build("feature_extractor", "inception", sha256=digest).prepare(replace(data_context, root=tmp_path))


@pytest.mark.parametrize("shape", [(40, 32), (299, 299), (400, 310)])
def test_clean_fids_resizing_is_that_of_pil_on_floats(shape):
    """clean-fid resizes each channel with PIL's bicubic filter, as floats, and clips (its resize.py)."""
    images = torch.randint(0, 256, (1, 3, *shape), generator=torch.Generator().manual_seed(0)).float()
    expected = [
        np.asarray(Image.fromarray(channel.numpy(), mode="F").resize((299, 299), Image.Resampling.BICUBIC))
        for channel in images[0]
    ]
    found = network_input(images, "clean")[0] * 128 + 128
    torch.testing.assert_close(found, torch.tensor(np.stack(expected)).clamp(0, 255), rtol=0, atol=1e-2)


def test_pytorch_fids_input_reaches_from_minus_one_to_one():
    """It interpolates values in [0, 1] between pixel centers and takes 2 x - 1 (its inception.py)."""
    images = torch.tensor([0.0, 255.0]).view(1, 1, 1, 2).expand(1, 3, 2, 2)
    row = network_input(images, "pytorch")[0, 0, 150]
    centers = (torch.arange(299) + 0.5) * 2 / 299 - 0.5
    torch.testing.assert_close(row, 2 * centers.clamp(0, 1) - 1, rtol=0, atol=1e-5)


def test_each_way_of_resizing_is_an_extractor_of_its_own(build, weights, digest, images, data_context):
    found = {}
    for way in ("tensorflow", "pytorch", "clean"):
        extractor = build("feature_extractor", "inception", sha256=digest, resizing=way)
        extractor.prepare(replace(data_context, root=weights.parent))
        found[extractor.identity] = extractor(images).features
        assert way == "clean" or way in extractor.notes["resizing"].lower().replace("pytorch-fid", "pytorch")
    assert f"inception-{digest}" in found and len(found) == 3
    one, two, three = found.values()
    assert not torch.equal(one, two) and not torch.equal(two, three)
