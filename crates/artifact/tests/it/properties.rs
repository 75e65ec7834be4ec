//! For any tree and any archive.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use flash_artifact::requirements::{Excluded, Requirement};
use flash_artifact::{Include, Layout, unpack, write};
use flash_model::sha256_hex;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

/// Names that a file system takes, odd ones among them; files and folders never share one.
fn path() -> impl Strategy<Value = String> {
    (vec("d[a-zA-Zé# .%-]{0,60}x", 0..3), "[a-c](é|#| |%41|\"|\\\\|x{120})?[.](py|txt|pem)")
        .prop_map(|(folders, file)| folders.into_iter().chain([file]).collect::<Vec<_>>().join("/"))
}

type Tree = BTreeMap<String, (Vec<u8>, bool)>;

fn plant(root: &Path, tree: &Tree) {
    for (path, (content, executable)) in tree {
        let file = root.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, content).unwrap();
        let mode = if *executable { 0o755 } else { 0o644 };
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn unpacking_and_packing_again_changes_nothing(
        tree in btree_map(path(), (vec(any::<u8>(), 0..200), any::<bool>()), 0..12),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (planted, out) = (folder.path().join("planted"), folder.path().join("out"));
        std::fs::create_dir(&planted).unwrap();
        plant(&planted, &tree);
        let first = write(&Layout::of_folder(&planted).unwrap(), &folder.path().join("1.tar.gz")).unwrap();
        prop_assert_eq!(first.files, tree.len());
        unpack(&first.path, &first.digest, &out).unwrap();
        for (path, (content, executable)) in &tree {
            prop_assert_eq!(&std::fs::read(out.join(path)).unwrap(), content);
            let mode = std::fs::metadata(out.join(path)).unwrap().permissions().mode();
            prop_assert_eq!(mode & 0o100 != 0, *executable);
        }
        let second = write(&Layout::of_folder(&out).unwrap(), &folder.path().join("2.tar.gz")).unwrap();
        prop_assert_eq!(second.digest, first.digest);
    }

    #[test]
    fn no_entry_escapes_its_root(names in vec("(/|[.][.]/|[.]/|a/|b)([.][.]|/|[.]|a|b|x){0,6}", 1..5)) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hostile.tar.gz");
        let gzip = flate2::write::GzEncoder::new(std::fs::File::create(&file).unwrap(), Default::default());
        let mut archive = tar::Builder::new(gzip);
        for name in &names {
            let mut header = tar::Header::new_gnu();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(1);
            header.set_mode(0o644);
            header.set_cksum();
            archive.append(&header, b"!".as_slice()).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap();
        let digest = sha256_hex(&std::fs::read(&file).unwrap());
        let parent = folder.path().join("parent");
        let result = unpack(&file, &digest, &parent.join("out"));
        let beside: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        prop_assert_eq!(beside.len(), 2, "the archive and the parent");
        let inside = std::fs::read_dir(&parent).unwrap().count();
        prop_assert_eq!(inside, usize::from(result.is_ok()));
    }

    #[test]
    fn whatever_is_typed_or_written_is_read_or_refused(text in "\\PC{0,40}", odd in "[-a-z0-9._\\[\\];@ =<>!~'\"()*,/:#é]{0,40}") {
        for text in [text, odd] {
            let _ = Requirement::parse(&text, Path::new("/project"));
            let _ = Excluded::parse([text.as_str()]);
            let _ = Include::parse([text.as_str()]);
            let _ = text.parse::<flash_artifact::size::ByteSize>();
            let _ = text.parse::<flash_artifact::PythonVersion>();
        }
    }
}
