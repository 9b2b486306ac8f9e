//! The description of our own interface in OpenAPI 3.1, made from the table of routes itself: it cannot speak of a line that
//! is not there, nor leave one out.

use serde_json::{Map, Value, json};

use super::super::route::{Access, Route, Takes};

/// Where our own interface begins.
const OURS: &str = "/api/v1/";

/// The description of those of `routes` that lie under `/api/v1`.
pub fn description(routes: impl Iterator<Item = &'static Route> + Clone) -> Value {
    let routes = routes.filter(|route| route.pattern.starts_with(OURS));
    let mut paths = Map::new();
    for route in routes.clone() {
        // Of several lines of an address the first is called by it alone.
        let first = routes.clone().find(|other| other.pattern == route.pattern);
        let is_first = first.is_none_or(|first| first.method == route.method);
        let path = paths.entry(route.pattern.to_owned()).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = operation(route, is_first);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "ablate",
            "version": "1",
            "description": "Runs of a store, for programs. Fields are added in time, and none changes its meaning. A number \
                            that is not finite is the string \"NaN\", \"Infinity\" or \"-Infinity\".",
        },
        "security": [{}, { "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": { "Fault": {
                "type": "object",
                "required": ["error_code", "message"],
                "properties": { "error_code": { "type": "string" }, "message": { "type": "string" } },
            } },
        },
    })
}

fn operation(route: &Route, is_first: bool) -> Value {
    let in_path = route.pattern.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path =
        in_path.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
    let in_query = route.asks.iter().map(
        |(name, about)| json!({ "name": name, "in": "query", "description": about, "schema": { "type": "string" } }),
    );
    let kind = match route.pattern.rsplit(['/', '.']).next() {
        Some("changes") => "text/event-stream",
        Some("csv") => "text/csv",
        _ => "application/json",
    };
    let fault = json!({ "$ref": "#/components/schemas/Fault" });
    let id = route.pattern.trim_start_matches(OURS).replace(['{', '}'], "").replace('/', "_");
    let id = if is_first { id } else { format!("{}_{id}", route.method.as_str().to_ascii_lowercase()) };
    let mut operation = json!({
        "summary": route.about,
        "operationId": id,
        "x-access": match route.access {
            Access::Open => "open",
            Access::Read | Access::Page => "read",
            Access::Write => "write",
            Access::Execute => "execute",
        },
        "parameters": in_path.chain(in_query).collect::<Vec<_>>(),
        "responses": {
            "200": { "description": "the answer", "content": { kind: {} } },
            "default": { "description": "why not", "content": { "application/json": { "schema": fault } } },
        },
    });
    if route.takes == Takes::Json {
        operation["requestBody"] = json!({ "required": true, "content": { "application/json": {} } });
    }
    operation
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::server::routes;

    /// The description and the table speak of the same.
    #[test]
    fn the_description_is_of_the_table() {
        let description = description(routes::all());
        let described = description["paths"].as_object().unwrap().iter().flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
        });
        let ours = routes::all().filter(|route| route.pattern.starts_with("/api/v1/"));
        let ours: BTreeSet<String> = ours.map(|route| format!("{} {}", route.method, route.pattern)).collect();
        assert_eq!(described.collect::<BTreeSet<_>>(), ours);
        assert!(ours.len() >= 6, "{ours:?}");
        let ids: Vec<&str> = description["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|methods| methods.as_object().unwrap().values())
            .map(|operation| operation["operationId"].as_str().unwrap())
            .collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
        for route in routes::all().filter(|route| route.pattern.starts_with("/api/v1/")) {
            let method = route.method.as_str().to_ascii_lowercase();
            let operation = &description["paths"][route.pattern][method.as_str()];
            assert_eq!(operation.get("requestBody").is_some(), route.takes == Takes::Json, "{}", route.pattern);
            let named = operation["parameters"].as_array().unwrap().iter();
            let names: Vec<&str> = named.map(|parameter| parameter["name"].as_str().unwrap()).collect();
            assert!(route.asks.iter().all(|(name, _)| names.contains(name)), "{}", route.pattern);
        }
    }
}
