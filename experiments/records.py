"""What the scripts that make records share: reading and writing them, where they come from, and how a script ends."""
import hashlib
import json
import os
import subprocess
import sys

USAGE, DATA, MACHINE, INTERRUPTED = 2, 3, 4, 130  # as the programs (docs/cli.md)
# What record_results --searches looks for, in this order: methods, and relative costs; the sensitivities are those that the integer program measures.
SEARCHES = {"resnet8": {"methods": ["greedy", "ilp", "genetic"], "costs": [0.09, 0.116]}}


def fail(code, what, where, fix):
    print(f"{os.path.basename(sys.argv[0])}: {what}\n  where: {where}\n  fix:   {fix}", file=sys.stderr)
    sys.exit(code)


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except OSError as error:
        fail(DATA, f"the file cannot be read: {error.strerror}", path, "name the folder of a finished run")
    except ValueError as error:
        fail(DATA, f"the file is no JSON: {error}", path, "make it again")


def write(path, record):
    """Whole or not at all."""
    with open(path + ".part", "w", encoding="utf-8") as file:
        json.dump(record, file, indent=1)
        file.write("\n")
    os.replace(path + ".part", path)


def model_hash(folder):
    """As the programs name a model; None without one."""
    try:
        with open(os.path.join(folder, "model.safetensors"), "rb") as file:
            return "sha256:" + hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return None


def git(*arguments):
    """What git says of the source tree."""
    done = subprocess.run(["git", "-C", os.path.dirname(os.path.abspath(__file__)), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def wait_for(command, **options):
    """(exit code as a shell tells it, stdout).  An interrupt reaches the program too; it is waited for, so that it can leave a checkpoint."""
    try:
        process = subprocess.Popen(command, text=True, **options)
    except OSError as error:
        fail(MACHINE, f"the program cannot be started: {error.strerror}", command[0], "build it: cmake --preset release && cmake --build --preset release")
    interrupted = False
    while True:
        try:
            out, _ = process.communicate()
            break
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        sys.exit(INTERRUPTED)
    return (128 - process.returncode if process.returncode < 0 else process.returncode), out
