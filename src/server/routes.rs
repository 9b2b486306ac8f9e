//! The table of everything that can be asked, made of the tables of the parts: a request that finds no line in it finds
//! nothing, and there is no other way to a handler.

use hyper::Method;

use super::App;
use super::fault::{Code, Fault};
use super::http::{Reply, Request};
use super::route::Route;
use super::{api, mlflow, page};

/// The tables, in the order in which they are looked through.
const TABLES: &[&[Route]] = &[mlflow::ROUTES, api::ROUTES, OF_ALL, page::ROUTES];

/// What speaks of all lines.
const OF_ALL: &[Route] = &[Route::get("/api/v1/openapi.json", openapi, "this description")];

fn openapi(_: &App, _: Request) -> Result<Reply, Fault> {
    Ok(Reply::json(&api::description(all())))
}

/// Every line there is.
pub fn all() -> impl Iterator<Item = &'static Route> + Clone {
    TABLES.iter().copied().flatten()
}

/// The line of a request, and what the names in its pattern stand for.
///
/// # Errors
/// When there is none, or only for other methods.
pub fn find(method: &Method, path: &str) -> Result<(&'static Route, Vec<String>), Fault> {
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    let mut is_known = false;
    for route in all() {
        let Some(names) = route.names(path) else { continue };
        if route.method == *method {
            return Ok((route, names?));
        }
        is_known = true;
    }
    Err(match is_known {
        true => Fault::new(Code::MethodNotAllowed, "this address takes another method"),
        false => Fault::new(Code::EndpointNotFound, "there is nothing at this address"),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::server::route::{Access, Takes};

    /// What changes something is no GET, and no line hides another.
    #[test]
    fn the_table_keeps_its_rules() {
        let mut seen = BTreeSet::new();
        for route in all() {
            assert!(seen.insert((route.method.to_string(), route.pattern)), "{} is there twice", route.pattern);
            assert!(
                route.method != Method::GET || !matches!(route.access, Access::Write | Access::Execute),
                "{} changes by GET",
                route.pattern
            );
            assert!(route.method == Method::GET || route.takes != Takes::Nothing || route.method == Method::DELETE);
            assert!(!route.about.is_empty() && route.pattern.starts_with('/'), "{}", route.pattern);
            let example = route.pattern.replace('{', "").replace("*}", "").replace('}', "");
            let (found, _) = find(&route.method, &example).unwrap();
            assert_eq!(found.pattern, route.pattern);
        }
        assert!(seen.len() >= 40, "{}", seen.len());
        let openly: Vec<&str> = all().filter(|route| route.access == Access::Open).map(|route| route.pattern).collect();
        assert_eq!(openly, ["/health"]);
    }
}
