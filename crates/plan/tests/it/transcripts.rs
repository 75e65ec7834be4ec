//! One world, one expected plan.

use flash_model::*;

use flash_plan::Drift;
use flash_testkit::{name, resource};

use crate::world::{World, observed};

fn check(world: &World, expected: &str) {
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let plan = world.plan().to_string();
    assert_eq!(plan.lines().collect::<Vec<_>>(), expected, "\n{plan}");
}

fn provisioned(workers: u32, code: &str) -> World {
    let mut world = World::new();
    world.want("api", resource(workers, code));
    let plan = world.plan();
    world.apply(&plan);
    world
}

#[test]
fn first_boot_creates_everything() {
    let mut world = World::new();
    world.want("b", resource(3, "x"));
    world.want("a", resource(3, "x"));
    check(&world, "+ create a: new\n+ create b: new\n2 to create, 0 to change, 0 to delete, 0 unchanged");
}

#[test]
fn an_applied_plan_leaves_nothing_to_do() {
    check(&provisioned(3, "x"), "0 to create, 0 to change, 0 to delete, 1 unchanged");
}

#[test]
fn a_change_says_which_fields() {
    let mut world = provisioned(3, "x");
    world.want("api", resource(5, "y"));
    check(
        &world,
        "± replace api: workersMax 3 → 5, code changed\n0 to create, 1 to change, 0 to delete, 0 unchanged",
    );
}

#[test]
fn a_stopped_endpoint_is_started_in_place() {
    let mut world = provisioned(3, "x");
    world.inventory.endpoints[0].phase = ObservedPhase::Stopped;
    check(
        &world,
        "~ update api: its endpoint is stopped\n0 to create, 1 to change, 0 to delete, 0 unchanged",
    );
}

#[test]
fn a_removed_resource_is_deleted_by_recorded_id_and_then_forgotten() {
    let mut world = provisioned(3, "x");
    world.manifest.resources.clear();
    check(&world, "- delete api: not in the manifest\n0 to create, 0 to change, 1 to delete, 0 unchanged");
    world.inventory.endpoints.clear();
    check(
        &world,
        "- delete api: not in the manifest, its endpoint is gone
         0 to create, 0 to change, 1 to delete, 0 unchanged",
    );
    let record = world.state.records.get_mut("api").unwrap();
    record.endpoint_id = None;
    check(&world, "x forget api: not in the manifest\n0 to create, 0 to change, 1 to delete, 0 unchanged");
}

#[test]
fn a_lost_record_leads_to_adoption_not_to_a_second_endpoint() {
    let mut world = provisioned(3, "x");
    world.state = StateSnapshot::default();
    check(
        &world,
        "> adopt api: running but not recorded\n0 to create, 1 to change, 0 to delete, 0 unchanged",
    );
}

#[test]
fn unknown_leads_to_neither_create_nor_delete() {
    let mut world = provisioned(3, "x");
    world.inventory = Inventory::unknown();
    check(&world, "0 to create, 0 to change, 0 to delete, 1 unchanged");
    world.want("new", resource(1, "n"));
    world.manifest.resources.remove(&name("api"));
    check(
        &world,
        "? api: no longer wanted, but the provider could not list what exists
         ? new: the provider could not list what exists
         0 to create, 0 to change, 0 to delete, 0 unchanged",
    );
}

#[test]
fn an_endpoint_of_another_environment_is_not_touched() {
    let mut world = provisioned(3, "x");
    let mut foreign = observed("other", "foreign", "hash", ObservedPhase::Running);
    foreign.owner.scope.environment = EnvironmentName::new("prod").unwrap();
    world.inventory.endpoints.push(foreign);
    check(&world, "0 to create, 0 to change, 0 to delete, 1 unchanged");
}

#[test]
fn a_vanished_endpoint_is_made_again() {
    let mut world = provisioned(3, "x");
    world.inventory.endpoints.clear();
    check(&world, "+ create api: its endpoint is gone\n1 to create, 0 to change, 0 to delete, 0 unchanged");
}

#[test]
fn a_second_endpoint_of_one_resource_is_surplus() {
    let mut world = provisioned(3, "x");
    world.inventory.endpoints.push(observed("api", "zzz", "hash", ObservedPhase::Running));
    check(&world, "- delete api: surplus endpoint\n0 to create, 0 to change, 1 to delete, 1 unchanged");
}

#[test]
fn what_drains_is_neither_used_nor_deleted_again() {
    let mut world = provisioned(3, "x");
    world.inventory.endpoints.push(observed("api", "zzz", "hash", ObservedPhase::Draining));
    world.inventory.endpoints.push(observed("gone", "yyy", "hash", ObservedPhase::Draining));
    check(&world, "0 to create, 0 to change, 0 to delete, 1 unchanged");
    world.inventory.endpoints[0].phase = ObservedPhase::Draining;
    check(&world, "+ create api: its endpoint is gone\n1 to create, 0 to change, 0 to delete, 0 unchanged");
}

#[test]
fn the_mothership_never_provisions_itself() {
    let world = provisioned(3, "x");
    let policy = flash_plan::Policy { own_resource: Some(name("api")), ..crate::world::policy() };
    let plan = flash_plan::plan(&world.manifest, &StateSnapshot::default(), &world.inventory, &policy);
    assert!(plan.steps.is_empty(), "{plan}");
}

#[test]
fn a_crash_between_create_and_record_adopts_what_was_made() {
    let mut world = World::new();
    world.want("api", resource(3, "x"));
    let first = world.plan();
    world.apply_until_created(&first);
    check(
        &world,
        "> adopt api: running but not recorded\n0 to create, 1 to change, 0 to delete, 0 unchanged",
    );
}

#[test]
fn an_interrupted_replacement_goes_on_with_its_successor() {
    let mut world = provisioned(3, "x");
    world.want("api", resource(4, "x"));
    let first = world.plan();
    world.apply_until_created(&first);
    assert_eq!(world.endpoints_of("api").len(), 2);
    let second = world.plan();
    check(&world, "± replace api: workersMax 3 → 4\n0 to create, 1 to change, 0 to delete, 0 unchanged");
    world.apply(&second);
    assert_eq!(world.endpoints_of("api").len(), 1);
    check(&world, "0 to create, 0 to change, 0 to delete, 1 unchanged");
}

#[test]
fn a_change_taken_back_while_under_way_leaves_the_old_endpoint_alone() {
    let mut world = provisioned(3, "x");
    world.want("api", resource(4, "x"));
    let change = world.plan();
    world.apply_until_created(&change);
    world.want("api", resource(3, "x"));
    check(
        &world,
        "> adopt api: an earlier attempt was interrupted
         - delete api: surplus endpoint
         0 to create, 1 to change, 1 to delete, 0 unchanged",
    );
    let back = world.plan();
    world.apply(&back);
    check(&world, "0 to create, 0 to change, 0 to delete, 1 unchanged");
}

fn reporting(world: &World) -> String {
    let policy = flash_plan::Policy { drift: Drift::Report, ..crate::world::policy() };
    flash_plan::plan(&world.manifest, &world.state, &world.inventory, &policy).to_string()
}

#[test]
fn what_somebody_else_changed_is_named_field_by_field_and_repaired_or_reported() {
    let mut world = provisioned(3, "x");
    let mut changed = resource(9, "x");
    changed.spec_mut().idle_timeout = 60;
    world.inventory.endpoints[0].spec = Some(changed.spec);
    let changes = "api: changed outside: idleTimeout 5 → 60, changed outside: workersMax 3 → 9";
    check(&world, &format!("~ update {changes}\n0 to create, 1 to change, 0 to delete, 0 unchanged"));
    assert_eq!(
        reporting(&world),
        format!("! left as it is {changes}\n0 to create, 0 to change, 0 to delete, 1 unchanged")
    );
    world.inventory.endpoints[0].spec = None;
    world.inventory.endpoints[0].config_hash = "somebody else's".into();
    check(&world, "~ update api: changed outside\n0 to create, 1 to change, 0 to delete, 0 unchanged");
    world.want("api", resource(4, "x"));
    check(&world, "± replace api: workersMax 3 → 4\n0 to create, 1 to change, 0 to delete, 0 unchanged");
}

#[test]
fn what_somebody_else_deleted_is_made_again_or_reported() {
    let mut world = provisioned(3, "x");
    let id = world.inventory.endpoints[0].endpoint_id.clone();
    world.inventory.endpoints.clear();
    assert_eq!(world.plan().steps[0].endpoint_id, Some(id), "whoever applies it asks for this one first");
    assert_eq!(
        reporting(&world),
        "! left as it is api: its endpoint is gone\n0 to create, 0 to change, 0 to delete, 1 unchanged"
    );
    let mut left = world.clone();
    left.inventory.endpoints.push(observed("api", "earlier", "other", ObservedPhase::Running));
    assert_eq!(
        reporting(&left),
        "- delete api: surplus endpoint\n! left as it is api: its endpoint is gone\n\
         0 to create, 0 to change, 1 to delete, 1 unchanged",
        "what is left of a replacement is cleared away"
    );
}

#[test]
fn a_listing_that_lags_behind_replaces_nothing() {
    let mut world = provisioned(3, "x");
    let old = world.inventory.endpoints.clone();
    world.want("api", resource(4, "x"));
    let change = world.plan();
    world.apply(&change);
    world.inventory.endpoints = old;
    check(&world, "+ create api: its endpoint is gone\n1 to create, 0 to change, 0 to delete, 0 unchanged");
}

#[test]
fn a_deletion_that_was_asked_for_is_finished_before_anything_else() {
    let mut world = provisioned(3, "x");
    let record = world.state.records.get_mut("api").unwrap();
    record.intent = Some(Intent {
        action: IntentAction::Delete,
        idempotency_key: IdempotencyKey::new("k").unwrap(),
        config_hash: String::new(),
    });
    check(
        &world,
        "- delete api: an earlier attempt was interrupted\n0 to create, 0 to change, 1 to delete, 0 unchanged",
    );
    let plan = world.plan();
    world.apply(&plan);
    check(&world, "+ create api: new\n1 to create, 0 to change, 0 to delete, 0 unchanged");
}

#[test]
fn an_endpoint_that_does_not_answer_is_restarted() {
    let mut world = provisioned(3, "x");
    world.inventory.endpoints[0].phase = ObservedPhase::Unresponsive;
    check(
        &world,
        "~ update api: its endpoint does not answer\n0 to create, 1 to change, 0 to delete, 0 unchanged",
    );
}

#[test]
fn no_two_states_give_the_same_key() {
    let mut world = World::new();
    world.want("api", resource(3, "x"));
    let key = |world: &World| world.plan().steps[0].idempotency_key.clone().unwrap();
    let first = key(&world);
    assert_eq!(first, key(&world), "the same state does");
    world.state.serial += 1;
    assert_ne!(first, key(&world));
    world.state =
        StateSnapshot { lineage: Some(MothershipId::new("ms-2").unwrap()), ..StateSnapshot::default() };
    assert_ne!(first, key(&world));
}

#[test]
fn what_was_made_at_another_place_is_neither_made_again_nor_removed() {
    let mut world = provisioned(3, "x");
    world.state.records.get_mut("api").unwrap().place = Some("there".into());
    world.inventory.endpoints.clear();
    world.want("new", resource(1, "n"));
    let plan = |world: &World, place: &str| {
        let policy = flash_plan::Policy { place: Some(place.into()), ..crate::world::policy() };
        flash_plan::plan(&world.manifest, &world.state, &world.inventory, &policy).to_string()
    };
    let deferred = "? api: its endpoint is at another place (there), which cannot be seen from here\n";
    let expected = format!("+ create new: new\n{deferred}1 to create, 0 to change, 0 to delete, 0 unchanged");
    assert_eq!(plan(&world, "here"), expected);
    assert!(plan(&world, "there").contains("+ create api: its endpoint is gone"));
    world.manifest.resources.remove("api");
    assert_eq!(plan(&world, "here"), expected);
}
