//! The functions this endpoint serves, by the names callers use: `function` or `Class.method`.

use std::collections::BTreeMap;

use flash_model::{Code, Function, Resource};

use crate::refusal::Refusal;

#[derive(Debug)]
pub(crate) struct Functions {
    by_name: BTreeMap<String, Function>,
}

/// A function found by name, and the method if one was named.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) function: &'a Function,
    pub(crate) method: Option<&'a str>,
}

impl Functions {
    pub(crate) fn of(resource: &Resource) -> Self {
        let by_name =
            resource.functions.iter().map(|function| (function.name.to_string(), function.clone())).collect();
        Self { by_name }
    }

    pub(crate) fn names(&self) -> String {
        let names: Vec<_> = self.by_name.keys().map(String::as_str).collect();
        names.join(", ")
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    pub(crate) fn find<'a>(&'a self, name: &'a str) -> Result<Target<'a>, Refusal> {
        let (function, method) = match name.split_once('.') {
            Some((class, method)) => (class, Some(method)),
            None => (name, None),
        };
        let unknown = |detail: String, known: String| {
            Refusal::new(Code::UnknownFunction, 404, detail).hint(format!("known here: {known}"))
        };
        let Some(function) = self.by_name.get(function) else {
            return Err(unknown(format!("there is no function {name} on this endpoint"), self.names()));
        };
        if let Some(method) = method
            && !function.methods.iter().any(|known| known.name == method)
        {
            let methods: Vec<_> =
                function.methods.iter().map(|known| format!("{}.{}", function.name, known.name)).collect();
            return Err(unknown(format!("{} has no method {method}", function.name), methods.join(", ")));
        }
        Ok(Target { function, method })
    }

    /// Whether one of them needs a worker's one thread for plain functions.
    pub(crate) fn has_sync(&self) -> bool {
        self.by_name.values().any(|function| Target { function, method: None }.is_sync())
    }
}

impl Target<'_> {
    pub(crate) fn is_sync(&self) -> bool {
        if !self.function.is_class {
            return !self.function.is_async;
        }
        let mut candidates = self
            .function
            .methods
            .iter()
            .filter(|method| self.method.is_none_or(|name| method.name == name))
            .peekable();
        candidates.peek().is_none() || candidates.any(|method| !method.is_async)
    }
}
