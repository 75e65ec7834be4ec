use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use flash_artifact::layout::excluded_in;
use flash_artifact::requirements::Excluded;
use flash_artifact::size::{Part, largest};
use flash_artifact::{Artifact, Layout, read, sdk, select, stage, unpack, verify, write};
use flash_model::{Manifest, sha256_hex};

use crate::project::Project;
use crate::requirements::resource;

fn layout(project: &Project) -> Layout<'static> {
    let mut layout = Layout::of_project(&select(project.root()).unwrap(), |_| None);
    layout.add_generated(&Manifest::empty("app")).unwrap();
    layout
}

fn pack(project: &Project, destination: &Path) -> Artifact {
    write(&layout(project), destination).unwrap()
}

fn members(archive: &Path) -> Vec<(String, u32, u64, u64, String)> {
    let file = std::fs::File::open(archive).unwrap();
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(file));
    let mut members = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let header = entry.header().clone();
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        members.push((
            name,
            header.mode().unwrap(),
            header.mtime().unwrap(),
            header.uid().unwrap() + header.gid().unwrap(),
            content,
        ));
    }
    members
}

#[test]
fn members_are_sorted_below_a_dot_without_times_and_owners() {
    let project = Project::new(&[("z.py", "z"), ("a/b.py", "b"), ("flash_manifest.json", "stale")]);
    project.write("run.sh", "echo");
    std::fs::set_permissions(project.path("run.sh"), std::fs::Permissions::from_mode(0o700)).unwrap();
    let archive = project.path(".flash/archive.tar.gz");
    let artifact = pack(&project, &archive);
    let manifest = Manifest::empty("app").to_json().unwrap();
    let member = |name: &str, mode, content: &str| (name.to_owned(), mode, 0, 0, content.to_owned());
    let is_sdk = |name: &str| sdk::paths().any(|path| name.strip_prefix("./") == Some(path));
    let (sdk, own): (Vec<_>, Vec<_>) = members(&archive).into_iter().partition(|(name, ..)| is_sdk(name));
    assert_eq!(sdk.len(), sdk::paths().count());
    assert_eq!(
        own,
        [
            member("./a/b.py", 0o644, "b"),
            member("./flash_manifest.json", 0o644, &manifest),
            member("./run.sh", 0o755, "echo"),
            member("./z.py", 0o644, "z"),
        ]
    );
    let bytes = std::fs::read(&archive).unwrap();
    let files = 4 + sdk.len();
    let expected =
        Artifact { path: archive, digest: sha256_hex(&bytes), size_bytes: bytes.len() as u64, files };
    assert_eq!(artifact, expected);
    assert_eq!(
        (&bytes[4..8], bytes[3]),
        (&[0; 4][..], 16),
        "gzip header without time and name, with a comment"
    );
    assert!(flash_artifact::is_artifact(&artifact.path));
}

#[test]
fn same_files_give_the_same_bytes_and_another_file_others() {
    let long = format!("{}/{}.py", "d".repeat(90), "é".repeat(60));
    let files = [("a.py", "1"), ("b.py", "2"), (long.as_str(), "3")];
    let first = Project::new(&files);
    let mut reversed = files;
    reversed.reverse();
    let second = Project::new(&reversed);
    let digest = |project: &Project| pack(project, &project.path(".flash/a.tar.gz")).digest;
    assert_eq!(digest(&first), digest(&second));
    second.write("b.py", "3");
    assert_ne!(digest(&first), digest(&second));
}

#[test]
fn unpacked_and_packed_again_gives_the_same_digest() {
    let long = format!("{}/{}.py", "d".repeat(90), "é".repeat(60));
    let many_blocks = "x = 1\n".repeat(300_000);
    let project = Project::new(&[
        ("a.py", "1"),
        (long.as_str(), "2"),
        (".gitignore", "x.py\n"),
        ("empty", ""),
        ("large.txt", &many_blocks),
        (".flash/packages/k/certifi/cacert.pem", "public"),
        (".flash/packages/k/m/__pycache__/m.cpython-312.pyc", "byte code"),
    ]);
    std::fs::set_permissions(project.path("a.py"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut layout = layout(&project);
    layout.add_packages("packages/k", &project.path(".flash/packages/k"), &Excluded::default()).unwrap();
    let artifact = write(&layout, &project.path(".flash/a.tar.gz")).unwrap();
    verify(&artifact.path, &artifact.digest).unwrap();
    let elsewhere = Project::new(&[]);
    let unpacked = unpack(&artifact.path, &artifact.digest, &elsewhere.path("code/digest")).unwrap();
    assert_eq!(std::fs::read_to_string(unpacked.join(&long)).unwrap(), "2");
    assert!(
        unpacked.join("packages/k/certifi/cacert.pem").is_file() && !unpacked.join("packages/k/m").exists()
    );
    let again = write(&Layout::of_folder(&unpacked).unwrap(), &elsewhere.path("b.tar.gz")).unwrap();
    assert_eq!(again.digest, artifact.digest);

    let written = elsewhere.path("written");
    std::fs::create_dir(&written).unwrap();
    layout.write_to(&written).unwrap();
    let third = write(&Layout::of_folder(&written).unwrap(), &elsewhere.path("c.tar.gz")).unwrap();
    assert_eq!(third.digest, artifact.digest);
}

#[test]
fn excluded_packages_are_not_packed_whoever_required_them() {
    let project = Project::new(&[
        ("main.py", "xxxx"),
        ("k/shared/a.py", "1"),
        ("k/shared/b.py", "22"),
        (
            "k/Big_Thing-1.0.dist-info/RECORD",
            "shared/a.py,,100\nBig_Thing-1.0.dist-info/RECORD,,\n../../bin/x,,5\n",
        ),
        ("k/other-2.0.dist-info/RECORD", "shared/b.py,,2\nother-2.0.dist-info/RECORD,,\n"),
    ]);
    let folder = project.path("k");
    let packed = |excluded: &str| {
        let excluded = Excluded::parse([excluded]).unwrap();
        let mut layout = Layout::default();
        layout.add_packages("packages/k", &folder, &excluded).unwrap();
        let paths: Vec<String> = layout.files().map(|(path, _)| path.to_owned()).collect();
        let parts = largest(&layout, [folder.as_path()], &excluded, 9);
        (paths, parts, excluded_in(&folder, &excluded).into_iter().collect::<Vec<_>>())
    };
    let part = |name: &str, size_bytes| Part { name: name.to_owned(), size_bytes };
    let (paths, parts, found) = packed("absent");
    assert_eq!((paths.len(), found.len()), (4, 0));
    assert_eq!(parts, [part("Big_Thing 1.0", 105), part("other 2.0", 2)]);
    let (paths, parts, found) = packed("big.thing,absent");
    assert_eq!(paths, ["packages/k/other-2.0.dist-info/RECORD", "packages/k/shared/b.py"]);
    assert_eq!(parts, [part("other 2.0", 2)]);
    assert_eq!(found, ["big-thing"]);
}

#[test]
fn what_was_scanned_is_packed_even_if_the_file_has_changed_since() {
    let project = Project::new(&[("a.py", "scanned"), ("b.txt", "2")]);
    let selection = select(project.root()).unwrap();
    project.write("a.py", "changed since");
    let layout = Layout::of_project(&selection, |path| (path == "a.py").then_some(b"scanned".as_slice()));
    let archive = project.path(".flash/a.tar.gz");
    write(&layout, &archive).unwrap();
    assert_eq!(members(&archive)[0].4, "scanned");
    assert_eq!(layout.size_bytes(), 8);
}

#[test]
fn every_resource_has_a_handler_and_nothing_of_the_project_gives_way_unsaid() {
    let mut manifest = Manifest::empty("app");
    for (name, kind) in [("jobs", "queue"), ("api", "load_balanced"), ("web", "asgi")] {
        let mut resource = resource(kind, &[], &[]);
        resource.handler_file = format!("handler_{name}.py");
        resource.spec_mut().asgi = (kind == "asgi").then(|| "my-app.main:app".to_owned());
        resource.packages = Some("packages/0123456789abcdef".to_owned());
        manifest.resources.insert(name.to_owned().try_into().unwrap(), resource);
    }
    let files = ["a.py", "handler_other.py", "packages/mine/x.py", "sub/tetra_rp/x.py"];
    let taken = ["handler_api.py", "packages/0123456789abcdef/x.py", "runpod_flash.py", "tetra_rp/x.py"];
    let project = Project::new(&[]);
    for file in files.iter().chain(&taken) {
        project.write(file, "mine");
    }
    let mut layout = Layout::of_project(&select(project.root()).unwrap(), |_| None);
    assert_eq!(layout.taken(&manifest), taken);
    layout.add_generated(&manifest).unwrap();
    let archive = project.path(".flash/a.tar.gz");
    write(&layout, &archive).unwrap();
    let packed = members(&archive);
    let text = |name: &str| &packed.iter().find(|member| member.0 == format!("./{name}")).unwrap().4;
    assert!(text("handler_jobs.py").contains("_standalone.queue_handler(root, \"jobs\")"));
    assert!(text("handler_api.py").contains("_standalone.application(root, \"api\")"));
    assert!(text("handler_web.py").contains("importlib.import_module(\"my-app.main\")"));
    assert!(text("handler_web.py").contains("str(root / \"packages/0123456789abcdef\")"));
}

#[test]
fn a_failed_build_leaves_the_previous_archive_and_nothing_else() {
    let project = Project::new(&[("a.py", "1"), ("b.py", "2"), ("c.py", "3")]);
    let archive = project.path(".flash/a.tar.gz");
    let before = pack(&project, &archive);
    let layout = layout(&project);
    let refused = |expected: &str| {
        let error = write(&layout, &archive).unwrap_err();
        assert!(format!("{error:?}").contains(expected), "{error:?}");
        verify(&archive, &before.digest).unwrap();
        assert_eq!(std::fs::read_dir(project.path(".flash")).unwrap().count(), 1);
    };
    for content in ["", "longer"] {
        project.write("b.py", content);
        refused("Changed { path: \"b.py\" }");
    }
    std::fs::remove_file(project.path("b.py")).unwrap();
    refused("Pack { path: \"b.py\"");
    project.write("b.py", "4");
    drop(stage(&layout, &archive).unwrap());
    verify(&archive, &before.digest).unwrap();
    assert_eq!(std::fs::read_dir(project.path(".flash")).unwrap().count(), 1);
    assert!(stage(&layout, &project.path(".flash")).is_err(), "a folder is no place for a file");
}

#[test]
fn a_wrong_digest_unpacks_nothing() {
    let project = Project::new(&[("a.py", "1")]);
    let artifact = pack(&project, &project.path(".flash/a.tar.gz"));
    let target = project.path("out/code");
    let error = unpack(&artifact.path, &"0".repeat(64), &target).unwrap_err();
    assert!(matches!(error, read::Error::DigestMismatch { .. }), "{error}");
    assert!(!target.exists());
    assert_eq!(std::fs::read_dir(project.path("out")).unwrap().count(), 0);
}

#[test]
fn an_existing_folder_is_returned_as_it_is() {
    let project = Project::new(&[("a.py", "1"), ("code/x", "")]);
    let target = project.path("code");
    assert_eq!(unpack(Path::new("/nowhere"), "", &target).unwrap(), target);
}

#[test]
fn hostile_archives_are_refused() {
    let header = |kind: tar::EntryType, name: &str| {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(0);
        header
    };
    let check = |headers: Vec<tar::Header>, expected: &str| {
        let folder = Project::new(&[]);
        let file = folder.path("hostile.tar.gz");
        let gzip = flate2::write::GzEncoder::new(std::fs::File::create(&file).unwrap(), Default::default());
        let mut archive = tar::Builder::new(gzip);
        for mut header in headers {
            header.set_cksum();
            archive.append(&header, std::io::empty()).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap();
        let digest = sha256_hex(&std::fs::read(&file).unwrap());
        let error = unpack(&file, &digest, &folder.path("inner/out")).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(std::fs::read_dir(folder.path("inner")).unwrap().count(), 0);
        assert_eq!(std::fs::read_dir(folder.root()).unwrap().count(), 2);
    };
    let regular = tar::EntryType::Regular;
    check(vec![header(regular, "../escaped")], "leaves its root");
    check(vec![header(regular, "a/../../escaped")], "leaves its root");
    check(vec![header(regular, "/tmp/escaped")], "leaves its root");
    check(vec![header(tar::EntryType::Fifo, "pipe")], "neither a file nor a directory");
    check(vec![header(regular, "a"), header(regular, "./a")], "cannot read the archive");
    let mut link = header(tar::EntryType::Symlink, "link");
    link.set_link_name("/etc").unwrap();
    check(vec![link, header(regular, "link/passwd")], "neither a file nor a directory");
    check(vec![header(regular, "a"), header(regular, "a/b")], "cannot read the archive");
}

#[test]
fn damaged_archives_are_errors() {
    let project = Project::new(&[("a.py", &"x\n".repeat(5000))]);
    let artifact = pack(&project, &project.path(".flash/a.tar.gz"));
    let bytes = std::fs::read(&artifact.path).unwrap();
    let cut = project.path("cut.tar.gz");
    for length in [0, 5, bytes.len() / 2] {
        std::fs::write(&cut, &bytes[..length]).unwrap();
        let digest = sha256_hex(&bytes[..length]);
        assert!(unpack(&cut, &digest, &project.path("out/code")).is_err(), "{length} bytes");
    }
}
