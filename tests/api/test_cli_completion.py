"""Shell completion, in the shells themselves."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.running import DOORMAN, clean_environment, run_doorman
from tests.tools import program

# Each completes the last word of each command line in $LINES_TO_COMPLETE, and ends what it prints for one with "---".
# zsh completes on its own command line only, so what its function calls there is replaced by what shows it.
_ASKING = {
    "bash": """
        source <(doorman completion bash)
        complete -p doorman >/dev/null || exit 1
        while IFS= read -r line; do
            read -ra COMP_WORDS <<< "$line"; [[ $line == *' ' ]] && COMP_WORDS+=('')
            COMPREPLY=() COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            _doorman_completion doorman
            printf '%s\\n' "${COMPREPLY[@]}" ---
        done <<< "$LINES_TO_COMPLETE"
    """,
    "zsh": """
        autoload -U compinit; compinit -u -D
        source <(doorman completion zsh)
        [[ $_comps[doorman] == _doorman_completion ]] || exit 1
        _describe() { print -rl -- ${(P)3}; }
        compadd() { print -rl -- ${(P)@[-1]}; }
        for line in "${(@f)LINES_TO_COMPLETE}"; do
            words=(${=line}); [[ $line == *' ' ]] && words+=('')
            CURRENT=${#words}
            _doorman_completion
            print -- ---
        done
    """,
    "fish": """
        doorman completion fish | source
        for line in (string split \\n -- $LINES_TO_COMPLETE)
            complete --do-complete $line
            echo ---
        end
    """,
}
_OPTIONS = {"bash": ["--norc"], "zsh": ["-f"], "fish": []}
_COMPLETED = {
    "doorman us": {"users"},
    "doorman users create --random": {"--random-password", "--random-token"},
    "doorman users list --group ": {"noob", "manager", "admin"},
}


@pytest.mark.parametrize("shell", _ASKING)
def test_a_shell_completes(shell: str, tmp_path: Path) -> None:
    """Commands, options and groups, by the script that ``doorman completion`` prints."""
    environment = clean_environment() | {
        "PATH": f"{DOORMAN.parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
        "LINES_TO_COMPLETE": "\n".join(_COMPLETED),
    }
    done = subprocess.run(
        [program(shell), *_OPTIONS[shell], "-c", _ASKING[shell]],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # zsh and fish add what the help says, after a colon or a tab.
    found = [
        {line.split("\t")[0].split(":")[0].strip() for line in part.splitlines()} - {""}
        for part in done.stdout.split("---\n")[:-1]
    ]
    assert found == list(_COMPLETED.values()), done.stderr


def test_other_shells_are_refused(tmp_path: Path) -> None:
    """By what there is."""
    done = run_doorman("completion", "tcsh", environment={}, cwd=tmp_path)
    assert (done.returncode, "'bash', 'zsh', 'fish'" in done.stderr) == (2, True)
