//! Top-level names of Python's own modules: the union of `sys.stdlib_module_names` of CPython 3.10 to 3.13.

use std::sync::LazyLock;

use rustc_hash::FxHashSet;

const NAMES: &str = "
    abc aifc antigravity argparse array ast asynchat asyncio asyncore atexit audioop base64 bdb binascii
    binhex bisect builtins bz2 cProfile calendar cgi cgitb chunk cmath cmd code codecs codeop
    collections colorsys compileall concurrent configparser contextlib contextvars copy copyreg crypt
    csv ctypes curses dataclasses datetime dbm decimal difflib dis distutils doctest email encodings
    ensurepip enum errno faulthandler fcntl filecmp fileinput fnmatch fractions ftplib functools gc
    genericpath getopt getpass gettext glob graphlib grp gzip hashlib heapq hmac html http idlelib
    imaplib imghdr imp importlib inspect io ipaddress itertools json keyword lib2to3 linecache locale
    logging lzma mailbox mailcap marshal math mimetypes mmap modulefinder msilib msvcrt multiprocessing
    netrc nis nntplib nt ntpath nturl2path numbers opcode operator optparse os ossaudiodev pathlib pdb
    pickle pickletools pipes pkgutil platform plistlib poplib posix posixpath pprint profile pstats pty
    pwd py_compile pyclbr pydoc pydoc_data pyexpat queue quopri random re readline reprlib resource
    rlcompleter runpy sched secrets select selectors shelve shlex shutil signal site smtpd smtplib
    sndhdr socket socketserver spwd sqlite3 sre_compile sre_constants sre_parse ssl stat statistics
    string stringprep struct subprocess sunau symtable sys sysconfig syslog tabnanny tarfile telnetlib
    tempfile termios textwrap this threading time timeit tkinter token tokenize tomllib trace traceback
    tracemalloc tty turtle turtledemo types typing unicodedata unittest urllib uu uuid venv warnings
    wave weakref webbrowser winreg winsound wsgiref xdrlib xml xmlrpc zipapp zipfile zipimport zlib
    zoneinfo
";

/// True for modules that every Python has. Names with a leading underscore are Python's own too (`__future__`).
pub(crate) fn contains(top_level: &str) -> bool {
    static SET: LazyLock<FxHashSet<&str>> = LazyLock::new(|| NAMES.split_ascii_whitespace().collect());
    top_level.starts_with('_') || SET.contains(top_level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_pythons_modules_from_packages() {
        for own in ["json", "asyncio", "tomllib", "distutils", "__future__", "zoneinfo"] {
            assert!(contains(own), "{own}");
        }
        for package in ["torch", "numpy", "pydantic", "js"] {
            assert!(!contains(package), "{package}");
        }
    }
}
