//! Packages that a resource needs because it imports a file of another one.
//!
//! A file that holds a decorated function may import at its top what only that function lists as a dependency. Whoever
//! imports the file imports the package too, so the requirement goes with it.

use std::collections::{BTreeMap, BTreeSet};

use flash_model::{Manifest, ResourceName};

/// Modules whose packages have other names. Others are told by their own, `-` and `_` being the same.
const PACKAGES: [(&str, &[&str]); 9] = [
    ("PIL", &["pillow"]),
    ("bs4", &["beautifulsoup4"]),
    ("cv2", &["opencv-python", "opencv-python-headless"]),
    ("dateutil", &["python-dateutil"]),
    ("dotenv", &["python-dotenv"]),
    ("google", &["protobuf"]),
    ("skimage", &["scikit-image"]),
    ("sklearn", &["scikit-learn"]),
    ("yaml", &["pyyaml"]),
];

pub(crate) fn share_dependencies(manifest: &mut Manifest) {
    let needed: BTreeMap<ResourceName, BTreeSet<String>> = manifest
        .resources
        .iter()
        .map(|(name, resource)| {
            let functions = manifest.resources.values().flat_map(|other| &other.functions);
            let listed = functions
                .filter(|function| resource.files.contains(&function.file))
                .flat_map(|function| &function.dependencies)
                .filter(|requirement| resource.imports.iter().any(|module| provides(requirement, module)));
            (name.clone(), listed.chain(&resource.spec.dependencies).cloned().collect())
        })
        .collect();
    for (name, dependencies) in needed {
        if let Some(resource) = manifest.resources.get_mut(&name)
            && dependencies.len() > resource.spec.dependencies.len()
        {
            resource.spec_mut().dependencies = dependencies.into_iter().collect();
        }
    }
}

fn provides(requirement: &str, module: &str) -> bool {
    let end = requirement.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')));
    let package = normalised(&requirement[..end.unwrap_or(requirement.len())]);
    let known = PACKAGES.iter().find(|(name, _)| *name == module);
    match known {
        Some((_, packages)) => packages.contains(&package.as_str()),
        None => package == normalised(module),
    }
}

fn normalised(name: &str) -> String {
    name.to_ascii_lowercase().replace(['_', '.'], "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_provides_a_module_by_its_name_or_by_a_known_other() {
        for (requirement, module, expected) in [
            ("six", "six", true),
            ("six>=1.16", "six", true),
            ("Scikit_Learn[all]==1.5", "sklearn", true),
            ("pillow", "PIL", true),
            ("typing-extensions", "typing_extensions", true),
            ("torch", "torchvision", false),
            ("", "six", false),
        ] {
            assert_eq!(provides(requirement, module), expected, "{requirement} {module}");
        }
    }
}
