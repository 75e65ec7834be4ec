//! Whatever the bytes: a result, and no panic. `FLASH_FUZZ_SECONDS=600 cargo test -p flash-scan --release fuzz` tries for longer.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use flash_scan::{Scan, SourceTree, scan, unfound_diagnostics};

const SCANS_MIN: u32 = 300;

/// The bytes as a module that a deployed function and an application import, so that all of the scan sees them.
fn scan_module(bytes: &[u8]) -> Scan {
    let mut tree = SourceTree::new("p");
    tree.insert("odd.py", bytes.to_vec());
    tree.insert("main.py", b"import odd\nfrom fastapi import FastAPI\napp = FastAPI()\n".to_vec());
    tree.insert(
        "work.py",
        b"from odd import *\nimport tetra_rp\nw = tetra_rp.LiveServerless(name='w')\n@tetra_rp.remote(w)\ndef f(): ...\n"
            .to_vec(),
    );
    let scanned = scan(&tree);
    assert!(scanned.manifest.resources["w"].files.iter().any(|file| file == "odd.py"));
    scanned
}

fn codes(scanned: &Scan) -> Vec<&'static str> {
    scanned.diagnostics.iter().map(|diagnostic| diagnostic.code.as_str()).collect()
}

#[test]
fn odd_bytes_are_read_or_told() {
    for (bytes, expected) in [
        (&b""[..], &[][..]),
        (b"\n", &[]),
        (b"\xef\xbb\xbfx = 1\n", &[]),
        (b"x = 1\r\ny = '''a\r\nb'''\r\n", &[]),
        (b"x = 1\ry = 2\r", &[]),
        (b"if 1:\n\tx = 1\n\ty = 2\n", &[]),
        (b"\x0cx = 1\n\x0c\n  \x0cy = 2\n", &[]),
        (b"x = 1", &[]),
        (b"x = \\\r\n1\r\n", &[]),
        (b"x = '\xff'\n", &["FL102"]),
        (b"\xff\xfex\0 \0=\0 \x001\0", &["FL102"]),
        (b"x = 1\0\n", &["FL101"]),
        (b"\0", &["FL101"]),
        (b"x = '''", &["FL101"]),
        (b"x = \\", &["FL101"]),
        (b"def f(:\n", &["FL101"]),
        (b"if 1:\n        x = 1\n\ty = 2\n", &["FL101"]),
        (b"x = f'{", &["FL101"]),
    ] {
        let mut found = codes(&scan_module(bytes));
        found.dedup();
        assert_eq!(found, expected, "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn large_files_are_read() {
    const MB: usize = 1_000_000;
    for text in [
        format!("DATA = \"{}\"\n", "a".repeat(10 * MB)),
        format!("\"\"\"{}\"\"\"\n", "a line of text\n".repeat(10 * MB / 15)),
        "# a comment with [ and (\n".repeat(10 * MB / 25),
        "\n".repeat(10 * MB),
        format!("ROWS = [{}]\n", "1, ".repeat(MB / 10)),
        format!("{}\n", "x = 1; ".repeat(MB / 10)),
        "from a import b\n".repeat(MB / 50),
        "\r".repeat(MB),
    ] {
        assert_eq!(codes(&scan_module(text.as_bytes())), [""; 0], "{:.30}", text);
    }
}

#[test]
fn deep_files_are_refused() {
    for (open, close) in
        [("(", ")"), ("[", "]"), ("{1: ", "}"), ("f(", ")"), ("-", ""), ("not ", ""), ("f'{", "}'")]
    {
        for times in [200_000, 1_000_000] {
            let text = format!("x = {}1{}\n", open.repeat(times), close.repeat(times));
            assert_eq!(codes(&scan_module(text.as_bytes())), ["FL101"], "{open}");
        }
    }
    let blocks: String = (0..2_000).map(|depth| format!("{}if x:\n", " ".repeat(depth))).collect();
    assert_eq!(codes(&scan_module(blocks.as_bytes())), ["FL101"]);
}

#[test]
fn circles_of_imports_end() {
    let mut tree = SourceTree::new("p");
    for (path, text) in [
        ("a/__init__.py", "from .b import *\nfrom . import b\nfrom a import a\nimport a.a.a\n"),
        (
            "a/b.py",
            "from a import *\nfrom .b import gpu, b\nfrom .. import a\ngpu = gpu\nimport_module = import_module('.', __package__)\n",
        ),
        (
            "w.py",
            "from tetra_rp import *\nfrom a import gpu\nfrom a.b import *\n@remote(gpu)\ndef f(): ...\n",
        ),
    ] {
        tree.insert(path, text.as_bytes().to_vec());
    }
    assert!(scan(&tree).has_errors());
}

/// Small pseudo-random numbers (xorshift64*), so that a failure can be had again by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound.max(1)
    }
}

struct TellSeed(u64);

impl Drop for TellSeed {
    #[expect(clippy::print_stderr, reason = "whoever sees the failure needs the seed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}", self.0);
        }
    }
}

type Files = Vec<(String, Vec<u8>)>;

fn corpus() -> Vec<Files> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/projects");
    let mut cases: Vec<_> =
        fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path().join("project")).collect();
    cases.sort();
    cases
        .into_iter()
        .filter(|case| case.is_dir())
        .map(|case| {
            let mut files = Vec::new();
            read(&case, "", &mut files);
            files.sort();
            files
        })
        .collect()
}

fn read(folder: &Path, prefix: &str, files: &mut Files) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            read(&path, &format!("{name}/"), files);
        } else {
            files.push((name, fs::read(&path).unwrap()));
        }
    }
}

fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let start = random.below(bytes.len() + 1);
    let length = random.below(60).min(bytes.len() - start);
    match random.below(6) {
        0 => bytes.truncate(start),
        1 => drop(bytes.drain(start..start + length)),
        2 => {
            let from = random.below(other.len() + 1);
            let until = (from + random.below(200)).min(other.len());
            bytes.splice(start..start + length, other[from..until].iter().copied());
        }
        3 => {
            let times = 1 + random.below(300);
            let repeated = bytes[start..start + length].repeat(times);
            bytes.splice(start..start, repeated);
        }
        4 => {
            let words: [&[u8]; 14] = [
                b"(",
                b"]",
                b"{",
                b"\"\"\"",
                b"\\\n",
                b"\r",
                b"\x0c",
                b"\0",
                b"\xff",
                b"\n@remote(",
                b"import ",
                b"from . import *\n",
                b"__import__(",
                b": ",
            ];
            bytes.splice(start..start, words[random.below(words.len())].iter().copied());
        }
        _ => {
            if let Some(byte) = bytes.get_mut(start) {
                *byte = random.below(256) as u8;
            }
        }
    }
}

#[test]
fn fuzz() {
    let corpus = corpus();
    let time: Option<Duration> =
        std::env::var("FLASH_FUZZ_SECONDS").ok().map(|text| Duration::from_secs(text.parse().unwrap()));
    let started = Instant::now();
    // Without a time given, the same few every time.
    let first = time.map_or(1, |_| u64::from(std::process::id()) << 32);
    let mut scans = 0;
    while time.map_or(scans < SCANS_MIN, |time| started.elapsed() < time) {
        let seed = first + u64::from(scans);
        let told = TellSeed(seed);
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let mut files = corpus[random.below(corpus.len())].clone();
        for _ in 0..=random.below(4) {
            let donors = &corpus[random.below(corpus.len())];
            let donor = donors.get(random.below(donors.len())).map_or(&b""[..], |(_, bytes)| bytes);
            let victim = random.below(files.len());
            if let Some((_, bytes)) = files.get_mut(victim) {
                mutate(bytes, donor, &mut random);
            }
        }
        let scan_in_order = |files: &Files| {
            let mut tree = SourceTree::new("p");
            files.iter().for_each(|(path, bytes)| tree.insert(path, bytes.clone()));
            scan(&tree)
        };
        let scanned = scan_in_order(&files);
        let manifest = scanned.manifest.to_json().unwrap();
        assert!(flash_model::Manifest::from_json(&manifest).is_ok());
        unfound_diagnostics(&scanned.unfound, |path| path.len().is_multiple_of(2));
        files.reverse();
        assert!(scanned == scan_in_order(&files));
        scans += 1;
        drop(told);
    }
}
