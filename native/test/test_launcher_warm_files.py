"""What warm-up writes is part of the snapshot: every sandbox starts with it."""
from __future__ import annotations

import os
import textwrap
from pathlib import Path
from typing import Any, Dict

import pytest
from branching import branch, evaluate, grandchild
from frames import AgentError
from launcher import HOST_LAYER, Launcher, launcher  # noqa: F401 (fixture)


def warm(script: str) -> Dict[str, Any]:
    return {"imports": [], "script": textwrap.dedent(script), "script_name": "warm.py"}


WRITES = warm("""
    import os, subprocess
    subprocess.run(["/bin/sh", "-ec", '''
        cd /root; mkdir -p d/e; echo a > d/e/f; ln d/e/f g; ln -s g l; chmod 600 g; mkfifo p
        mkdir /var/tmp/here; echo v > /var/tmp/here/v; chown 7:8 /var/tmp/here/v
        echo t > /tmp/t; echo s > /dev/shm/s
    '''], check=True)
""")


def test_files_of_warm_up_are_there(launcher: Launcher) -> None:
    launcher.template(warm=WRITES)
    first, second = launcher.sandbox("one"), launcher.sandbox("two")
    first.sh("echo mine > /root/g; echo mine > /tmp/t; rm /dev/shm/s /root/l; rm -r /var/tmp/here")
    seen = second.sh("""
        cat /root/d/e/f /root/l /tmp/t /dev/shm/s /var/tmp/here/v
        stat -c '%a %h %u' /root/g; stat -c '%u:%g' /var/tmp/here/v; stat -c %F /root/p
        stat -c %a /tmp /dev/shm; cat /etc/hostname; hostname
        touch /tmp/n /dev/shm/n /root/n && echo ok
    """)
    assert seen.stdout.decode().split("\n") == [
        "a", "a", "t", "s", "v", "600 2 0", "7:8", "fifo", "1777", "1777", "two", "two", "ok", ""]
    assert second.sh("cat /root/g").stdout == b"a\n"


def test_what_warm_up_removed_is_gone(launcher: Launcher, tmp_path: Path) -> None:
    image = tmp_path / "image"
    for name in ("gone", "kept", "tree/old"):
        (image / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (image / "data" / name).write_text(name)
    layer = {"path": str(image), "idmap": 1, "copy": 1}
    launcher.template(layers=[layer, *HOST_LAYER], writable=["/data"], warm=warm("""
        import os, shutil
        os.remove('/data/gone'); shutil.rmtree('/data/tree'); os.mkdir('/data/tree')
        open('/data/tree/new', 'w').close()
    """))
    seen = launcher.sandbox("box").sh("cd /data; echo *; echo tree/*").stdout
    assert seen == b"kept tree\ntree/new\n"


def test_the_template_cannot_change_it_any_more(launcher: Launcher) -> None:
    """A hook that goes on to write: the sandboxes have what was there when warm-up ended."""
    launcher.template(warm=warm("""
        import os
        os.makedirs('/root/log')
        def note(): open('/root/log/lines', 'a').write('1')
        note()
        os.register_at_fork(before=note)
    """))
    first, second = (launcher.sandbox(name).sh("cat /root/log/lines").stdout
                     for name in ("one", "two"))
    assert first == second and set(first) == {ord("1")}


def test_a_branch_has_them_too(launcher: Launcher) -> None:
    launcher.template(warm=WRITES)
    source = launcher.sandbox("box")
    evaluate(source, "x = 1")
    source.sh("echo b > /root/d/e/more; echo n > /tmp/n; rm /dev/shm/s /root/g")
    branch(launcher, source)
    child = grandchild(launcher, "child")
    assert child.sh("cd /root; cat d/e/*; cat /tmp/*; ls /dev/shm; ls").stdout == (
        b"a\nb\nn\nt\nd\nl\np\n")
    branch(launcher, child, "child", "third")
    last = grandchild(launcher, "last", "third")
    assert last.sh("cd /root; cat d/e/*; ls").stdout == b"a\nb\nd\nl\np\n"
    assert evaluate(last, "x") == "1"


def test_nothing_is_kept_of_a_template_that_wrote_nothing(launcher: Launcher) -> None:
    launcher.template()
    assert os.listdir(launcher.run_dir) == []
    layers = launcher.sandbox("box").sh("grep ' / ' /proc/mounts").stdout
    assert b"lowerdir=k:" in layers and b"w/u" not in layers


def test_they_are_gone_with_the_template(launcher: Launcher) -> None:
    launcher.template(warm=WRITES)
    assert len(os.listdir(launcher.run_dir)) == 1
    launcher.discard()
    assert os.listdir(launcher.run_dir) == []


def test_more_than_the_memory_limit_fails_with_the_reason(launcher: Launcher) -> None:
    """The copy counts as the template's, as what it has written does."""
    big = warm("open('/root/big', 'wb').write(bytes(150 << 20))")
    with pytest.raises(AgentError, match="for want of memory before it was warm"):
        launcher.template(warm=big, memory_bytes=220 << 20)
    assert os.listdir(launcher.run_dir) == []
