use flash_artifact::requirements::{Error, Excluded, conflicts, invalid_dependencies, plan_for};
use flash_artifact::{Platform, ProjectRequirements, RequirementSet, Target, plan};
use flash_model::{Code, Manifest, Resource, ResourceName};

use crate::project::Project;

pub(crate) fn resource(kind: &str, dependencies: &[&str], imports: &[&str]) -> Resource {
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
            "websockets",
        ],
    );
    check(
        &[("requirements.txt", "uvicorn[standard]\n")],
        &resource("asgi", &[], &["uvicorn"]),
        &["cloudpickle>=3.1", "uvicorn[standard]", "websockets"],
    );
    check(
        &[("requirements.txt", "wsproto>=1.2\n")],
        &resource("asgi", &[], &[]),
        &["cloudpickle>=3.1", "uvicorn", "wsproto>=1.2"],
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

fn target(python: &str) -> Target {
    Target { python: python.parse().unwrap(), platform: Platform::LinuxX86_64 }
}

#[test]
fn for_a_target_conditions_are_judged_and_excluded_packages_left_out() {
    let project = Project::new(&[
        (
            "requirements.txt",
            "tomli; python_version < '3.11'\nuvloop ; sys_platform != 'win32'\nwinkit; os_name == 'nt'\n\
         Torch_Vision~=0.20\narm; platform_machine == 'aarch64'\n\
         c @ https://h/c.whl ; python_version >= '3.12'\n-c pins.txt\n",
        ),
        ("pins.txt", "urllib3<3; python_version >= '3.12'\n"),
    ]);
    let read = ProjectRequirements::read(project.root()).unwrap();
    let resource = resource("queue", &["torch @ https://h/torch.whl", "numpy"], &["requests"]);
    let excluded = Excluded::parse(["torch-vision,,TORCH", "absent"]).unwrap();
    let check = |python: &str, expected: &[&str]| {
        let (set, left_out) = plan_for(&resource, &read, &excluded, target(python));
        assert_eq!(set.requirements, expected);
        assert_eq!(left_out.iter().collect::<Vec<_>>(), ["torch", "torch-vision"]);
        set
    };
    let set = check("3.12", &["c @ https://h/c.whl", "cloudpickle>=3.1", "numpy", "requests", "uvloop"]);
    assert_eq!(set.constraints, ["urllib3<3"]);
    let set = check("3.10", &["cloudpickle>=3.1", "numpy", "requests", "tomli", "uvloop"]);
    assert_eq!(set.constraints, [""; 0]);
    for text in ["a b", "x-", "torch==2", "é"] {
        assert_eq!(Excluded::parse([text]), Err(text.to_owned()));
    }
}

#[test]
fn requirements_that_exclude_each_other_are_named_with_both_places() {
    let project = Project::new(&[
        ("requirements.txt", "# base\ntorch==2.2\nnumpy<2; python_version < '3.11'\n-c pins.txt\n"),
        ("pins.txt", "pillow<11\n"),
    ]);
    let read = ProjectRequirements::read(project.root()).unwrap();
    let mut a = resource("queue", &["torch==2.1", "numpy>=2", "pillow"], &[]);
    let mut other = a.functions[0].clone();
    (other.file, other.line, other.dependencies) =
        ("n.py".into(), 9, vec!["torch>=2.2".into(), "pillow>=11".into()]);
    a.functions.push(other);
    let b = resource("queue", &["torch==2.1"], &[]);
    let (name_a, name_b) = (ResourceName::new("a").unwrap(), ResourceName::new("b").unwrap());
    let found = |excluded: &str| {
        let excluded = Excluded::parse([excluded]).unwrap();
        conflicts([(&name_a, &a), (&name_b, &b)], &read, &excluded, target("3.12"))
    };
    let shown: Vec<String> = found("")
        .iter()
        .map(|diagnostic| {
            assert_eq!((diagnostic.code, diagnostic.is_error()), (Code::RequirementConflict, true));
            let span = diagnostic.span.as_ref().unwrap();
            let related = &diagnostic.related[0].span;
            format!("{}:{} {}:{} {}", span.file, span.line, related.file, related.line, diagnostic.message)
        })
        .collect();
    assert_eq!(
        shown,
        [
            "m.py:7 n.py:9 `torch==2.1` and `torch>=2.2` exclude each other, for resource `a`",
            "m.py:7 requirements.txt:2 `torch==2.1` and `torch==2.2` exclude each other, for resources `a` and `b`",
            "n.py:9 pins.txt:1 `pillow>=11` and `pillow<11` exclude each other, for resource `a`",
        ]
    );
    assert_eq!(found("torch").len(), 1);
    assert_eq!(conflicts([(&name_a, &a)], &read, &Excluded::default(), target("3.10")).len(), 4);
}

#[test]
fn requirements_that_only_together_exclude_each_other() {
    let resource = resource("queue", &["x!=1", "x>=1", "x<=1"], &[]);
    let name = ResourceName::new("r").unwrap();
    let found = conflicts(
        [(&name, &resource)],
        &ProjectRequirements::default(),
        &Excluded::default(),
        target("3.12"),
    );
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].related.len(), 2, "{found:?}");
}
