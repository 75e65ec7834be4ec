use flash_artifact::requirements::{Error, invalid_dependencies};
use flash_artifact::{ProjectRequirements, RequirementSet, plan};
use flash_model::{Manifest, Resource, ResourceName};

use crate::project::Project;

fn resource(kind: &str, dependencies: &[&str], imports: &[&str]) -> Resource {
    let document = serde_json::json!({
        "version": "1.0", "generated_at": "", "project_name": "app", "function_registry": {},
        "resources": {"r": {
            "spec": {
                "kind": kind, "hardware": {"type": "cpu", "instanceIds": []}, "workersMin": 0, "workersMax": 1,
                "idleTimeout": 60, "scaler": {"type": "QUEUE_DELAY", "value": 4}, "executionTimeoutMs": 0,
                "maxConcurrency": 1, "dependencies": dependencies, "flashboot": true,
            },
            "resource_type": "LiveServerless", "handler_file": "", "is_load_balanced": false,
            "is_live_resource": true, "config_variable": null, "files": [], "imports": imports,
            "code_digest": "", "config_hash": "",
            "functions": [{
                "name": "f", "module": "m", "is_async": false, "is_class": false, "file": "m.py", "line": 7,
                "dependencies": dependencies,
            }],
        }},
    });
    let manifest = Manifest::from_json(&document.to_string()).unwrap();
    manifest.resources[&ResourceName::new("r").unwrap()].clone()
}

fn check(files: &[(&str, &str)], resource: &Resource, expected: &[&str]) -> RequirementSet {
    let project = Project::new(files);
    let set = plan(resource, &ProjectRequirements::read(project.root()).unwrap());
    let root = project.root().to_str().unwrap();
    let shown: Vec<String> = set.requirements.iter().map(|line| line.replace(root, "ROOT")).collect();
    assert_eq!(shown, expected);
    set
}

#[test]
fn the_worker_shims_own_need_is_always_there() {
    check(&[], &resource("queue", &[], &["os_thing"]), &["cloudpickle>=3.1"]);
}

#[test]
fn files_and_functions_are_merged_and_the_sdk_is_left_out() {
    let set = check(
        &[
            (
                "requirements.txt",
                "# base\nTetra_RP>=0.18  # the SDK\n-r more/extra.txt\n--index-url https://i/simple\nnumpy>=2,<3\n\
                 ./libs/own\n-e .\n",
            ),
            ("more/extra.txt", "--pre\nzope.interface\n-r ../requirements.txt\n-c pins.txt\nnumpy <3, >=2\n"),
            ("more/pins.txt", "urllib3<3\n"),
            (
                "pyproject.toml",
                "[project]\nname='x'\ndependencies = [\n 'runpod-flash', 'Pillow ~= 11.0',\n]\n",
            ),
        ],
        &resource("queue", &["torch", "pillow~=11.0", "numpy"], &[]),
        &[
            "-e ROOT",
            "ROOT/libs/own",
            "cloudpickle>=3.1",
            "numpy>=2,<3",
            "pillow~=11.0",
            "torch",
            "zope-interface",
        ],
    );
    assert_eq!(set.options, ["--pre", "--index-url https://i/simple"]);
    assert_eq!(set.constraints, ["urllib3<3"]);
}

#[test]
fn what_the_reference_brought_along_is_implied_by_imports() {
    check(
        &[("requirements.txt", "pydantic==2.11.0\n")],
        &resource("asgi", &[], &["dotenv", "fastapi", "numpy", "pydantic"]),
        &[
            "cloudpickle>=3.1",
            "email-validator",
            "fastapi",
            "jinja2",
            "pydantic==2.11.0",
            "python-dotenv",
            "python-multipart",
            "uvicorn",
        ],
    );
    check(
        &[("requirements.txt", "uvicorn[standard]\n")],
        &resource("asgi", &[], &["uvicorn"]),
        &["cloudpickle>=3.1", "uvicorn[standard]"],
    );
}

#[test]
fn markers_urls_and_hashes_pass_through() {
    check(
        &[(
            "requirements.txt",
            "a==1 \\\n  --hash=sha256:00\nb; python_version < '3.12'\nc @ https://u:p@h/c.whl\ngit+ssh://git@h/o/r.git\n",
        )],
        &resource("queue", &["b"], &[]),
        &[
            "a==1 --hash=sha256:00",
            "b",
            "b ; python_full_version < '3.12'",
            "c @ https://u:p@h/c.whl",
            "cloudpickle>=3.1",
            "git+ssh://git@h/o/r.git",
        ],
    );
}

#[test]
fn the_digest_is_of_the_meaning_not_of_the_spelling() {
    let digest = |text: &str, dependencies: &[&str]| {
        let project = Project::new(&[("requirements.txt", text)]);
        plan(&resource("queue", dependencies, &[]), &ProjectRequirements::read(project.root()).unwrap())
            .digest()
    };
    let base = digest("b\nA >= 1\n", &[]);
    assert_eq!(base, digest("# c\na>=1\n", &["B"]));
    assert_ne!(base, digest("b\na>=2\n", &[]));
    assert_ne!(base, digest("b\na>=1\n--pre\n", &[]));
    assert_eq!(base.len(), 64);
}

#[test]
fn all_invalid_lines_are_told_with_file_and_line_and_no_password() {
    let project = Project::new(&[
        ("requirements.txt", "torch==\n\nnumpy\n-r sub/more.txt\n-r absent.txt\n"),
        ("sub/more.txt", "# c\nx y\nhttps://me:s3cret@h/a b\n"),
        ("pyproject.toml", "[project]\nname = 'x'\ndependencies = [\n  'fine',\n  'a=1',\n]\n"),
    ]);
    let error = ProjectRequirements::read(project.root()).unwrap_err();
    let Error::Invalid { invalid } = &error else { panic!("{error}") };
    let places: Vec<_> = invalid.iter().map(|line| (line.file.as_str(), line.line)).collect();
    assert_eq!(
        places,
        [
            ("requirements.txt", 1),
            ("sub/more.txt", 2),
            ("sub/more.txt", 3),
            ("requirements.txt", 5),
            ("pyproject.toml", 5)
        ]
    );
    assert!(error.to_string().contains("requirements.txt:5: \"-r absent.txt\""), "{error}");
    assert!(!format!("{error:?}{error}").contains("s3cret"), "{error}");
}

#[test]
fn a_broken_pyproject_is_told_with_its_line() {
    let project = Project::new(&[("pyproject.toml", "[project]\nname = \n")]);
    let error = ProjectRequirements::read(project.root()).unwrap_err().to_string();
    assert!(error.starts_with("pyproject.toml:2:"), "{error}");
}

#[test]
fn a_dependency_that_cannot_be_read_is_told_at_its_function() {
    let resource = resource("queue", &["torch", "not a requirement"], &[]);
    let invalid = invalid_dependencies(&resource);
    assert_eq!((invalid.len(), invalid[0].file.as_str(), invalid[0].line), (1, "m.py", 7));
    let set = plan(&resource, &ProjectRequirements::default());
    assert_eq!(set.requirements, ["not a requirement", "cloudpickle>=3.1", "torch"]);
}
