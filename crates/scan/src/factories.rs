//! Functions of the project that do nothing but make a value: `def make(name): return LiveServerless(name=name)`.

use ruff_python_ast::{Expr, ExprCall, ExprLambda, Parameters, Stmt, StmtFunctionDef};
use ruff_text_size::Ranged;

use crate::fold::Folder;
use crate::imports::FileIndex;
use crate::resolve::Unresolved;
use crate::value::{Frame, Value, insert};

/// Decorators that change when a function runs, not what it returns.
const CACHES: [&str; 2] = ["cache", "lru_cache"];

#[derive(Debug)]
pub(crate) struct Factory<'a> {
    pub(crate) parameters: Option<&'a Parameters>,
    /// `name = value` in its body, in order.
    pub(crate) locals: Vec<(&'a str, &'a Expr)>,
    pub(crate) result: &'a Expr,
}

/// A function whose body binds names and returns.
pub(crate) fn of_function(definition: &StmtFunctionDef) -> Option<Factory<'_>> {
    let is_cache = |expression: &Expr| {
        let callee = expression.as_call_expr().map_or(expression, |call| &*call.func);
        match callee {
            Expr::Name(name) => CACHES.contains(&name.id.as_str()),
            Expr::Attribute(attribute) => CACHES.contains(&attribute.attr.as_str()),
            _ => false,
        }
    };
    if definition.is_async
        || !definition.decorator_list.iter().all(|decorator| is_cache(&decorator.expression))
    {
        return None;
    }
    let (Stmt::Return(result), before) = definition.body.split_last()? else { return None };
    let mut locals = Vec::new();
    for statement in before {
        match statement {
            Stmt::Expr(text) if text.value.is_string_literal_expr() => {}
            Stmt::Assign(assign) => match &*assign.targets {
                [Expr::Name(name)] => locals.push((name.id.as_str(), &*assign.value)),
                _ => return None,
            },
            Stmt::AnnAssign(assign) => match (&*assign.target, &assign.value) {
                (Expr::Name(name), Some(value)) => locals.push((name.id.as_str(), &**value)),
                _ => return None,
            },
            _ => return None,
        }
    }
    Some(Factory { parameters: Some(&definition.parameters), locals, result: result.value.as_deref()? })
}

pub(crate) fn of_lambda(lambda: &ExprLambda) -> Option<Factory<'_>> {
    Some(Factory { parameters: lambda.parameters.as_deref(), locals: Vec::new(), result: &lambda.body })
}

impl<'a> Folder<'_, 'a> {
    /// The parameters of a function with the values that one call gives them.
    pub(crate) fn bind_parameters(
        &mut self,
        file: FileIndex,
        call: &'a ExprCall,
        home: FileIndex,
        name: &str,
        parameters: Option<&'a Parameters>,
        depth: usize,
    ) -> Result<Vec<(&'a str, Value<'a>)>, Unresolved> {
        let misfit = |what: String| Unresolved::new(file, call.range(), format!("`{name}()` {what}"));
        let mut positional = Vec::new();
        for argument in &*call.arguments.args {
            match argument {
                Expr::Starred(starred) => match self.fold(file, &starred.value, depth)?.settled() {
                    Value::List(items) => positional.extend(items),
                    _ => return Err(misfit("is given `*` arguments that are no list".to_owned())),
                },
                argument => positional.push(self.fold(file, argument, depth)?),
            }
        }
        let mut named: Vec<(Value<'a>, Value<'a>)> = Vec::new();
        for keyword in &*call.arguments.keywords {
            let value = self.fold(file, &keyword.value, depth)?;
            match (&keyword.arg, value) {
                (Some(argument), value) => insert(&mut named, Value::Text(argument.to_string()), value),
                (None, Value::Dict(items)) => {
                    items.into_iter().for_each(|(key, value)| insert(&mut named, key, value));
                }
                (None, _) => return Err(misfit("is given `**` arguments that are no dictionary".to_owned())),
            }
        }
        let mut bound = Vec::new();
        let mut positional = positional.into_iter();
        let Some(parameters) = parameters else {
            return match positional.next().is_none() && named.is_empty() {
                true => Ok(bound),
                false => Err(misfit("takes no arguments".to_owned())),
            };
        };
        let plain = parameters.posonlyargs.iter().chain(&parameters.args).map(|parameter| (parameter, true));
        for (parameter, by_position) in plain.chain(parameters.kwonlyargs.iter().map(|each| (each, false))) {
            let parameter_name = parameter.parameter.name.as_str();
            let by_name = named.iter().position(|(key, _)| *key == Value::Text(parameter_name.to_owned()));
            let next = if by_position { positional.next() } else { None };
            let given = match (next, by_name) {
                (Some(value), None) => Some(value),
                (None, Some(index)) => Some(named.remove(index).1),
                (Some(_), Some(_)) => return Err(misfit(format!("is given `{parameter_name}` twice"))),
                (None, None) => None,
            };
            let value = match (given, parameter.default.as_deref()) {
                (Some(value), _) => value,
                (None, Some(default)) => {
                    self.in_frame(Frame::default(), |folder| folder.fold(home, default, depth))?
                }
                (None, None) => return Err(misfit(format!("lacks the argument `{parameter_name}`"))),
            };
            bound.push((parameter_name, value));
        }
        let rest: Vec<Value<'a>> = positional.collect();
        match &parameters.vararg {
            Some(vararg) => bound.push((vararg.name.as_str(), Value::List(rest))),
            None if rest.is_empty() => {}
            None => return Err(misfit("is given too many arguments".to_owned())),
        }
        match &parameters.kwarg {
            Some(kwarg) => bound.push((kwarg.name.as_str(), Value::Dict(named))),
            None if named.is_empty() => {}
            None => {
                let (key, _) = &named[0];
                return Err(misfit(format!("has no parameter {}", key.describe())));
            }
        }
        Ok(bound)
    }
}
