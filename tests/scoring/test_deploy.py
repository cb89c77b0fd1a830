"""The recipe for a cluster: Ray accepts it, and the image gets all that the install needs."""

import re
import shlex
import sys

import pytest

from facemask.io.files import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it

DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")


def test_ray_accepts_the_cluster():
    pytest.importorskip("ray", reason="ray is not installed: pip install '.[ray]'")
    pytest.importorskip("jsonschema")
    import yaml
    from ray.autoscaler._private.util import prepare_config, validate_config

    recipe = yaml.safe_load((ROOT / "deploy" / "ray-cluster.yaml").read_text("utf-8"))
    validate_config(prepare_config(recipe))
    types = recipe["available_node_types"]
    assert types[recipe["head_node_type"]]["resources"] == {"CPU": 0}
    with pytest.raises(Exception, match="max_worker"):
        validate_config(prepare_config({**recipe, "max_worker": 1}))


def test_the_image_gets_what_the_install_is_built_from():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], *wheel["force-include"], project["project"]["readme"],
              *project["project"]["license-files"], "pyproject.toml"}  # fmt: skip
    copied = set()
    for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE):
        *sources, target = shlex.split(line)
        for source in sources:
            assert (ROOT / source).exists()
            # Where a folder is copied to is where its files are.
            assert target == (f"/build/{source}" if (ROOT / source).is_dir() else "/build/")
        copied.update(sources)
    assert all(any(f"{name}/".startswith(f"{c}/") for c in copied) for name in needed)
    (extra,) = re.findall(r"/build\[(\w+)\]", DOCKERFILE)
    assert extra in project["project"]["optional-dependencies"]
