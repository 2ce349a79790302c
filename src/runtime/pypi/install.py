"""Run by the Python that servers are to have: `python3 -I install.py REQUEST.json`.

Asks pip which version a requirement means, or installs into a virtual environment and says what is in it. Only wheels are
taken, so that nothing of a package runs here. The answer goes into a file; what pip says goes to standard output.
"""

import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys

OLDEST_PIP = (22, 3)
# Settings that would lead an installation to another place.
STRAY = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON", "PIP_EDITABLE", "PIP_REQUIREMENT")
STRAY += ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "__PYVENV_LAUNCHER__")


def main(request):
    signal.alarm(request["seconds"])
    environment = {name: value for name, value in os.environ.items() if name not in STRAY}
    environment.update(request["environment"], PIP_USER="0", PIP_REQUIRE_VIRTUALENV="0", PYTHONUNBUFFERED="1")
    environment["PYTHONDONTWRITEBYTECODE"] = ""
    if request["action"] == "resolve":
        answer = resolve(request, environment)
    else:
        answer = install(request, environment)
    with open(request["answer"], "w") as file:
        json.dump(answer, file)


def resolve(request, environment):
    found = meaning(request, environment, pip_here())
    return {"packages": found, "programs": [], "python": version()}


def meaning(request, environment, pip):
    """Without what it needs: else pip would take an old version rather than say what stands in the way of the newest."""
    command = pip + ["install", "--dry-run", "--no-deps", "--ignore-installed"]
    return packages_of(run_pip(request, environment, command, ["--", request["requirements"][0]]))


def install(request, environment):
    import venv

    folder = request["folder"]
    python = os.path.join(folder, "bin", "python")
    make = {"symlinks": True, "system_site_packages": request["system"]}
    pip = pip_here(needed=False)
    venv.create(folder, with_pip=not pip, **make)
    pip = pip + ["--python", python] if pip else [python, "-m", "pip"]
    if request.get("lock"):
        wanted = os.path.join(request["work"], "lock.txt")
        with open(wanted, "w") as file:
            file.write(request["lock"])
        words = ["--no-deps", "--require-hashes", "-r", wanted]
    else:
        first, *others = request["requirements"]
        if request.get("newest"):
            [found] = meaning(request, environment, pip)
            first = re.match(r"[^<>=!~]*", first).group() + "==" + found["version"]
        words = ["--", first, *others]
    compiled = request.get("bytecode")
    report = run_pip(request, environment, pip + ["install"] + (["--no-compile"] if compiled else []), words)
    if compiled:
        compile_all(folder, compiled, request["system"])
    return {
        "packages": packages_of(report),
        "programs": programs_of(folder, request["package"]) if request.get("package") else [],
        "python": version(),
    }


def compile_all(folder, place, system):
    """Where nobody may write, each process would compile the standard library anew: official images come without its bytecode."""
    import compileall
    import sysconfig

    sys.pycache_prefix = place
    own = os.path.join(folder, "lib", "python%d.%d" % sys.version_info[:2], "site-packages")
    libraries = [sysconfig.get_path("stdlib"), own]
    libraries += [path for path in sys.path if path.endswith("-packages")] if system else []
    seldom = r"/(tests?|idlelib|tkinter|turtledemo|lib2to3|ensurepip|pydoc_data|distutils|__phello__)/"
    for library in libraries:
        rest = "" if library.endswith("-packages") else "|/(site|dist)-packages/"
        compileall.compile_dir(library, quiet=2, rx=re.compile(seldom + rest))


def pip_here(needed=True):
    """The command; [] where this Python has no pip that is new enough, and it is not needed."""
    try:
        found = re.match(r"(\d+)\.(\d+)", importlib.metadata.version("pip"))
        if found and tuple(map(int, found.groups())) >= OLDEST_PIP:
            return [sys.executable, "-m", "pip"]
    except importlib.metadata.PackageNotFoundError:
        pass
    if not needed:
        try:
            import ensurepip  # noqa: F401

            return []
        except ImportError:
            pass
    sys.exit("linkspan: this Python has no pip of version 22.3 or newer")


def run_pip(request, environment, command, words):
    report = os.path.join(request["work"], "report.json")
    flags = ["--no-input", "--disable-pip-version-check", "--no-color", "--progress-bar=off", "--root-user-action=ignore"]
    flags += ["--only-binary=:all:", "--report", report]
    code = subprocess.run(command + flags + words, env=environment, stderr=subprocess.STDOUT).returncode
    if code != 0:
        sys.exit(code)
    with open(report) as file:
        return json.load(file)


def packages_of(report):
    found = []
    for entry in report["install"]:
        archive = entry["download_info"].get("archive_info", {})
        hashes = archive.get("hashes") or dict([archive.get("hash", "=").split("=", 1)])
        metadata = entry["metadata"]
        found.append({"name": metadata["name"], "version": metadata["version"], "sha256": hashes.get("sha256", "")})
    return found


def programs_of(folder, package):
    """What the package itself has put into the environment's bin, by the list of its files."""
    place = os.path.join(folder, "lib", "python%d.%d" % sys.version_info[:2], "site-packages")
    programs = os.path.join(os.path.realpath(folder), "bin")
    for distribution in importlib.metadata.distributions(path=[place]):
        if normal(distribution.metadata["Name"] or "") == normal(package):
            files = [os.path.realpath(str(distribution.locate_file(file))) for file in distribution.files or []]
            return sorted({os.path.basename(file) for file in files if os.path.dirname(file) == programs})
    return []


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def version():
    return "%d.%d.%d" % sys.version_info[:3]


with open(sys.argv[1]) as opened:
    main(json.load(opened))
