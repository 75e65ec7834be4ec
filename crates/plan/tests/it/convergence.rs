//! Properties that hold for every world.

use flash_model::*;
use flash_plan::Action;
use proptest::prelude::*;

use flash_testkit::resource;

use crate::world::{World, observed, policy};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// A world with some resources wanted, some applied earlier in another version, some stopped, some surplus.
fn worlds() -> impl Strategy<Value = World> {
    let one = (0..NAMES.len(), 0..3u32, 0..3u32, any::<bool>(), any::<bool>(), any::<bool>());
    proptest::collection::vec(one, 0..8).prop_map(|parts| {
        let mut world = World::new();
        for (turn, (index, before, after, applied, stopped, crashed)) in parts.into_iter().enumerate() {
            world.manifest.resources.clear();
            world.want(NAMES[index], resource(before + 1, "old"));
            let scratch = world.clone();
            let plan = scratch.plan();
            let ours = |step: &&flash_plan::Step| step.resource.as_str() == NAMES[index];
            let only = flash_plan::Plan { steps: plan.steps.iter().filter(ours).cloned().collect(), ..plan };
            if applied {
                world.apply(&only);
            } else if crashed {
                world.apply_until_created(&only);
            }
            if stopped && let Some(endpoint) = world.inventory.endpoints.last_mut() {
                endpoint.phase = ObservedPhase::Stopped;
            }
            if after > 1 {
                let id = format!("stray-{turn}");
                world.inventory.endpoints.push(observed(NAMES[index], &id, "other", ObservedPhase::Running));
            }
        }
        world.manifest.resources.clear();
        for (offset, resource_name) in NAMES.iter().enumerate().take(3) {
            world.want(resource_name, resource(offset as u32 + 1, "new"));
        }
        world
    })
}

proptest! {
    #[test]
    fn planning_after_applying_finds_nothing_to_do(mut world in worlds()) {
        let plan = world.plan();
        world.apply(&plan);
        // A deletion's record is dropped by the delete itself; what a lost record leaves is forgotten next. Others of a
        // resource whose recorded endpoint is gone are judged when there is a new one.
        let again = world.plan();
        let is_tidying = |step: &flash_plan::Step| matches!(step.action, Action::Forget | Action::Delete);
        prop_assert!(again.changes().all(is_tidying), "{plan}\n--\n{again}");
        world.apply(&again);
        prop_assert!(world.plan().is_no_op());
        prop_assert!(world.duplicates().is_empty());
    }

    #[test]
    fn a_crash_after_creating_changes_nothing_in_the_end(mut world in worlds()) {
        let plan = world.plan();
        world.apply_until_created(&plan);
        for _ in 0..3 {
            let plan = world.plan();
            world.apply(&plan);
        }
        prop_assert!(world.plan().is_no_op(), "{}", world.plan());
        prop_assert!(world.duplicates().is_empty());
    }

    #[test]
    fn the_order_of_the_inventory_does_not_matter(world in worlds()) {
        let plan = world.plan();
        let mut reversed = world.clone();
        reversed.inventory.endpoints.reverse();
        prop_assert_eq!(plan, reversed.plan());
    }

    #[test]
    fn nothing_foreign_and_nothing_unknown_is_deleted(world in worlds(), foreign in any::<bool>()) {
        let mut world = world;
        if foreign {
            for endpoint in &mut world.inventory.endpoints {
                endpoint.owner.scope.app = AppName::new("theirs").unwrap();
            }
        } else {
            world.inventory = Inventory::unknown();
        }
        let plan = flash_plan::plan(&world.manifest, &world.state, &world.inventory, &policy());
        let acts = |step: &&flash_plan::Step| matches!(step.action, Action::Delete | Action::Replace | Action::Update);
        // What is recorded and not listed is asked for by its id first, and left if it is not ours.
        let unlisted = |step: &&flash_plan::Step| step.reasons.contains(&flash_plan::Reason::Gone);
        prop_assert_eq!(plan.steps.iter().filter(acts).filter(|step| !unlisted(step)).count(), 0);
        prop_assert!(foreign || plan.is_no_op());
    }
}
