"""The probe as `flash build --probe` runs it: a process of its own, one JSON document in and one out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tetra_rp

SDK = Path(tetra_rp.__file__).resolve().parent.parent


def probe(root: Path, *files: str, **environment: str) -> dict[str, Any]:
    modules = [{"file": file, "module": module_of(file)} for file in files]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tetra_rp._probe"],
        input=json.dumps({"root": str(root), "modules": modules}),
        capture_output=True,
        text=True,
        timeout=60,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(SDK), **environment},
    )
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout), "stderr": done.stderr}


def module_of(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").removeprefix("src/").replace("/", ".")


def names(document: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(each["function"], each["module"], each["resource"]["name"]) for each in document["registrations"]]


def test_registrations_of_both_dialects(project):
    root = project(
        """
        import warnings
        from tetra_rp import *
        from runpod_flash import Endpoint as E

        warnings.simplefilter("ignore")  # that the queue resource's method is ignored

        gpu = LiveServerless(name="gpu", env={"B": "1", "A": "2"}, networkVolume=NetworkVolume(name="models"))

        @remote(gpu, dependencies=["torch"], system_dependencies=["ffmpeg"], method="GET")
        async def infer(): ...

        @remote(CpuLiveLoadBalancer(name="api", instanceIds=["cpu3c-1-2"], workersMax=9), method="POST", path="/x")
        def route(): ...

        @E(gpu=["NVIDIA L4", GpuGroup.ADA_24, "NVIDIA L4"], workers=(1, 2), max_concurrency=3, volume=NetworkVolume(id="v1"))
        class Model: ...

        @remote(gpu, local=True)
        def stays_here(): ...
        """
    )
    document = probe(root, "main.py")
    assert document["failures"] == []
    common = {"module": "main", "file": "main.py", "dependencies": [], "system_dependencies": []}
    assert document["registrations"] == [
        {
            **common, "function": "infer", "is_class": False, "is_async": True, "method": None, "path": None,
            "dependencies": ["torch"], "system_dependencies": ["ffmpeg"],
            "resource": {
                "name": "gpu", "class": "LiveServerless", "kind": "queue",
                "spec": {
                    "workersMin": 0, "workersMax": 3, "idleTimeout": 5, "gpus": ["any"], "gpuCount": 1,
                    "executionTimeoutMs": 0, "scalerType": "QUEUE_DELAY", "scalerValue": 4, "maxConcurrency": 1,
                    "env": ["A", "B"], "volumes": ["models"],
                },
            },
        },
        {
            **common, "function": "route", "is_class": False, "is_async": False, "method": "POST", "path": "/x",
            "resource": {
                "name": "api", "class": "CpuLiveLoadBalancer", "kind": "load_balanced",
                "spec": {
                    "workersMin": 0, "workersMax": 9, "idleTimeout": 5, "instanceIds": ["cpu3c-1-2"],
                    "executionTimeoutMs": 0, "scalerType": "REQUEST_COUNT", "scalerValue": 4, "maxConcurrency": 1000,
                    "env": [], "volumes": [],
                },
            },
        },
        {
            **common, "function": "Model", "is_class": True, "is_async": False, "method": None, "path": None,
            "resource": {
                "name": "Model", "class": "LiveServerless", "kind": "queue",
                "spec": {
                    "workersMin": 1, "workersMax": 2, "idleTimeout": 60, "gpus": ["NVIDIA L4", "ADA_24"], "gpuCount": 1,
                    "executionTimeoutMs": 0, "scalerType": "QUEUE_DELAY", "scalerValue": 4, "maxConcurrency": 3,
                    "env": [], "volumes": ["v1"],
                },
            },
        },
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("declaration", "expected"),
    [
        ("CpuLiveServerless(name='x')", {"instanceIds": ["any"]}),
        ("LiveServerless(name='x', networkVolumeId='v1')", {"volumes": ["v1"]}),
        ("LiveServerless(name='x', gpus=['ADA_24', 'any'])", {"gpus": ["ADA_24", "any"]}),
        ("LiveServerless(name='x', gpus=[])", {"gpus": ["any"]}),
        ("LiveServerless(name='x', gpus=GpuGroup.all())", {"gpus": [group.value for group in tetra_rp.GpuGroup.all()]}),
        ("Endpoint(name='x', gpu=['ADA_24', 'any'])", {"gpus": ["ADA_24", "any"]}),
        ("Endpoint(name='x', cpu='any')", {"instanceIds": ["any"]}),
        ("LiveServerless(name='x', gpus=[GpuGroup.ADA_24, GpuGroup.ADA_24])", {"gpus": ["ADA_24"]}),
        ("LiveServerless(name='x', gpuIds='ADA_24,AMPERE_48')", {"gpus": ["ADA_24", "AMPERE_48"]}),
        ("LiveServerless(name='x', template=PodTemplate(env=[KeyValuePair(key='A', value='1')]))", {"env": ["A"]}),
        (
            "LiveServerless(name='x', env={'B': '1'}, template=PodTemplate(env=[{'key': 'A', 'value': '1'}]))",
            {"env": ["B"]},
        ),
    ],
)
def test_normalised_values(project, declaration, expected):
    root = project(f"from tetra_rp import *\n@remote({declaration})\ndef f(): ...")
    (found,) = probe(root, "main.py")["registrations"]
    spec = found["resource"]["spec"]
    assert {name: spec[name] for name in expected} == expected


def test_functions_below_other_decorators(project):
    root = project(
        """
        import functools
        from tetra_rp import Endpoint

        def logged(function):
            @functools.wraps(function)
            def wrapper(*args):
                return function(*args)
            return wrapper

        @Endpoint(name="x")
        @logged
        async def f(): ...
        """
    )
    (found,) = probe(root, "main.py")["registrations"]
    assert (found["function"], found["is_async"]) == ("f", True)


def test_one_broken_module_hides_no_other(project):
    good = "from tetra_rp import Endpoint\n@Endpoint(gpu='any')\ndef {0}(): ..."
    root = project(
        good.format("a"),
        **{
            "broken.py": "x = 1\nimport nothing_of_that_name",
            "leaves.py": "import sys\nsys.exit('no')",
            "quits.py": "raise KeyboardInterrupt",
            "syntax.py": "def f(:",
            "wrong.py": "from tetra_rp import Endpoint\nEndpoint(gpu='any', cpu='any')",
            "last.py": good.format("z"),
        },
    )
    document = probe(root, "broken.py", "leaves.py", "main.py", "quits.py", "syntax.py", "wrong.py", "last.py", "gone.py")
    assert names(document) == [("z", "last", "z"), ("a", "main", "a")]
    errors = {each["file"]: each["error"] for each in document["failures"]}
    assert errors.pop("syntax.py").startswith("SyntaxError: ")
    assert errors.pop("gone.py").startswith("FileNotFoundError: ")
    assert errors == {
        "broken.py": "ModuleNotFoundError: No module named 'nothing_of_that_name'",
        "leaves.py": "SystemExit: no",
        "quits.py": "KeyboardInterrupt",
        "wrong.py": "ValueError: Endpoint() has both gpu= and cpu=; an endpoint runs on one of them",
    }
    trace = document["failures"][0]["traceback"]
    assert trace.splitlines()[:2] == [
        "Traceback (most recent call last):", f'  File "{root}/broken.py", line 2, in <module>',
    ]  # fmt: skip


def test_user_code_cannot_get_at_the_output_or_the_input(project):
    root = project(
        """
        import os, sys, atexit, threading, time
        print("printed")
        os.system("echo echoed")
        os.write(1, b"written\\n")
        assert sys.stdin.read() == "" and sys.argv == ["flash-probe"]
        atexit.register(lambda: print("never"))
        threading.Thread(target=time.sleep, args=(1000,)).start()
        """
    )
    document = probe(root, "main.py")
    assert document["failures"] == []
    for word in ("printed", "echoed", "written"):
        assert word in document["stderr"]
    assert "never" not in document["stderr"]
    assert not list(root.rglob("__pycache__"))


def test_calls_are_refused(project):
    root = project(
        "import asyncio\nfrom tetra_rp import Endpoint\n@Endpoint(name='x')\ndef f(): ...\nasyncio.run(f())",
        **{"client.py": "import asyncio\nfrom tetra_rp import Endpoint\nasyncio.run(Endpoint(id='x').run({}))"},
    )
    document = probe(root, "main.py", "client.py", FLASH_MOTHERSHIP_URL="http://127.0.0.1:1")
    assert [each["error"] for each in document["failures"]] == [
        "tetra_rp._errors.FlashError: f is not called: modules are only being looked at",
        "tetra_rp._errors.FlashError: Endpoint(id='x') is not called: modules are only being looked at",
    ]
    assert names(document) == [("f", "main", "x")]


def test_folders_with_digits_and_relative_imports(project):
    root = project(
        **{
            "01-app/workers/__init__.py": "from tetra_rp import LiveServerless\nmodel = LiveServerless(name='shared')",
            "01-app/workers/gpu/endpoint.py": "from tetra_rp import remote\nfrom .. import model\n@remote(model)\ndef f(): ...",
            "src/package/mod.py": "from tetra_rp import Endpoint\n@Endpoint()\ndef g(): ...",
            "odd.name.py": "from tetra_rp import Endpoint\n@Endpoint()\ndef h(): ...",
        }
    )
    document = probe(root, "01-app/workers/gpu/endpoint.py", "src/package/mod.py", "odd.name.py")
    assert document["failures"] == []
    assert names(document) == [("f", "01-app.workers.gpu.endpoint", "shared"), ("h", "odd.name", "h"), ("g", "package.mod", "g")]


def test_neighbours_of_one_name_in_two_folders(project):
    worker = "from tetra_rp import Endpoint\n@Endpoint(name='{0}')\ndef {0}(): ..."
    root = project(
        **{
            "01_a/worker.py": worker.format("a"),
            "01_a/pipeline.py": "from worker import a",
            "02_b/worker.py": worker.format("b"),
            "02_b/pipeline.py": "from worker import b",
        }
    )
    document = probe(root, "01_a/pipeline.py", "01_a/worker.py", "02_b/pipeline.py", "02_b/worker.py")
    assert document["failures"] == []
    assert names(document) == [("a", "01_a.worker", "a"), ("b", "02_b.worker", "b")]


def test_functions_of_installed_packages_are_not_the_projects(project, tmp_path_factory):
    library = tmp_path_factory.mktemp("library")
    (library / "a_library.py").write_text("from tetra_rp import Endpoint\n@Endpoint()\ndef f(): ...")
    root = project("import a_library")
    assert names(probe(root, "main.py", PYTHONPATH=f"{SDK}{os.pathsep}{library}")) == []


def test_a_crash_names_the_module_that_was_imported(project):
    root = project("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    done = subprocess.run(
        [sys.executable, "-m", "tetra_rp._probe"],
        input=json.dumps({"root": str(root), "modules": [{"file": "main.py", "module": "main"}]}),
        capture_output=True,
        text=True,
        timeout=60,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(SDK)},
    )
    assert done.returncode == -signal.SIGSEGV
    assert f'"{root / "main.py"}", line 1' in done.stderr
