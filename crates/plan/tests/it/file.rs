//! Plan files: what is written is read again, and what is not one says why.

use std::error::Error as _;

use flash_model::MothershipId;
use flash_plan::{Drift, PlanFile, PlanFileError};
use flash_testkit::{name, resource, scope};
use serde_json::{Value, json};

use crate::world::World;

fn file() -> PlanFile {
    let mut world = World::new();
    world.want("api", resource(3, "a"));
    world.want("jobs", resource(1, "b"));
    world.apply(&world.plan());
    world.manifest.resources.remove(&name("jobs"));
    world.want("api", resource(5, "a"));
    world.want("new", resource(1, "c"));
    let plan = world.plan();
    assert_eq!(plan.changes().count(), 3);
    PlanFile::new(scope(), world.state.lineage.clone(), Drift::Report, world.manifest.clone(), plan)
}

fn read(document: &Value) -> Result<PlanFile, PlanFileError> {
    PlanFile::from_json(&document.to_string())
}

#[test]
fn a_written_plan_is_read_as_it_was_even_with_fields_of_a_later_version() {
    let file = file();
    assert_eq!(PlanFile::from_json(&file.to_json().unwrap()).unwrap(), file);
    let mut document = serde_json::to_value(&file).unwrap();
    document["made_at"] = json!("later");
    document["plan"]["steps"][0]["cost"] = json!(3);
    assert_eq!(read(&document).unwrap(), file);
}

#[test]
fn what_is_not_a_plan_file_says_what_is_wrong() {
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut document = serde_json::to_value(file()).unwrap();
        change(&mut document);
        let error = read(&document).unwrap_err();
        error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
    };
    let cases: Vec<(String, &str)> = vec![
        (PlanFile::from_json("{").unwrap_err().to_string(), "it is not JSON"),
        (PlanFile::from_json("[]").unwrap_err().to_string(), "`format` is not \"flash plan\""),
        (changed(&|file| file["format"] = json!("tfplan")), "`format` is not \"flash plan\""),
        (changed(&|file| file["version"] = json!("2")), "its version is \"2\"; this flash reads \"1\""),
        (changed(&|file| drop(file.as_object_mut().unwrap().remove("version"))), "its version is missing"),
        (changed(&|file| drop(file.as_object_mut().unwrap().remove("scope"))), "missing field `scope`"),
        (changed(&|file| file["drift"] = json!("mend")), "unknown variant `mend`"),
        (changed(&|file| file["scope"]["app"] = json!("a/b")), "invalid app name \"a/b\""),
        (changed(&|file| file["plan"]["steps"][0]["action"] = json!("destroy")), "unknown variant `destroy`"),
        (changed(&|file| file["plan"]["state_serial"] = json!(-1)), "invalid value: integer `-1`"),
        (
            changed(&|file| file["manifest"]["version"] = json!("9")),
            "manifest version \"9\" is not supported",
        ),
        (
            changed(&|file| file["manifest"]["function_registry"] = json!({"f": "gone"})),
            "function f belongs to resource gone",
        ),
        (
            changed(&|file| file["manifest"]["resources"]["api"]["spec"]["workersMax"] = json!(99)),
            "its step 1 wants something for api that its manifest does not say",
        ),
        (
            changed(&|file| drop(file["manifest"]["resources"].as_object_mut().unwrap().remove("new"))),
            "its step 2 wants something for new that its manifest does not say",
        ),
    ];
    for (actual, expected) in cases {
        assert!(actual.contains(expected), "{actual:?} does not contain {expected:?}");
    }
    let long = " ".repeat(flash_plan::PLAN_FILE_BYTES_MAX + 1);
    assert!(matches!(PlanFile::from_json(&long), Err(PlanFileError::TooLong { .. })));
}

#[test]
fn a_plan_from_before_there_was_a_state_is_the_plan_of_the_first_one_and_any_other_of_its_own_only() {
    let mut world = World::new();
    world.want("api", resource(3, "a"));
    let before = PlanFile::new(scope(), None, Drift::Repair, world.manifest.clone(), world.plan());
    let lineage = MothershipId::new("ms-1").unwrap();
    world.state.lineage = Some(lineage.clone());
    assert_ne!(before.plan, world.plan(), "keys are made from the lineage");
    assert_eq!(before.plan_in(&lineage), Some(world.plan()));
    let own =
        PlanFile::new(scope(), Some(lineage.clone()), Drift::Repair, world.manifest.clone(), world.plan());
    assert_eq!(own.plan_in(&lineage), Some(world.plan()));
    assert_eq!(own.plan_in(&MothershipId::new("ms-2").unwrap()), None);
}
