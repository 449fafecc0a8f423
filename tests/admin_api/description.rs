//! Checks answers against src/admin/api/openapi.json. Supports only the keywords of JSON Schema that this file uses.

use serde_json::Value;

fn description() -> Value {
    serde_json::from_str(include_str!("../../src/admin/api/openapi.json")).unwrap()
}

/// Each described path, with names in it, and its methods.
pub(crate) fn paths() -> Vec<Vec<(String, String)>> {
    let description = description();
    let paths = description["paths"].as_object().unwrap();
    let methods = |(path, item): (&String, &Value)| {
        let path: String = path
            .split('/')
            .map(|part| if part.starts_with('{') { "x" } else { part })
            .collect::<Vec<_>>()
            .join("/");
        let methods = item.as_object().unwrap().keys().filter(|key| *key != "parameters");
        methods.map(|method| (method.to_uppercase(), path.clone())).collect()
    };
    paths.iter().map(methods).collect()
}

/// The statuses that `method` at `path` is described to answer.
pub(crate) fn statuses(method: &str, path: &str) -> Vec<u16> {
    let description = description();
    let responses = operation(&description, method, path).unwrap()["responses"].as_object().unwrap();
    responses.keys().map(|status| status.parse().unwrap()).collect()
}

/// The answer is one that the description names, in the shape that it names.
#[track_caller]
pub(crate) fn hold(method: &str, path: &str, status: u16, body: &str) {
    let description = description();
    let path = path.split('?').next().unwrap();
    let answer = match operation(&description, method, path) {
        Some(operation) => resolved(&description, &operation["responses"][status.to_string()]),
        // An address, or a method of one, that the description does not have.
        None => {
            let shared = match status {
                401 => "Unauthorized",
                404 => "NotFound",
                405 => "MethodNotAllowed",
                _ => panic!("{method} {path} is not described, and answers {status}"),
            };
            &description["components"]["responses"][shared]
        }
    };
    assert!(answer.is_object(), "{method} {path} is not described to answer {status}: {body}");
    let shape = &answer["content"]["application/json"]["schema"];
    if shape.is_null() {
        assert_eq!(body, "", "{method} {path} {status} has no body");
        return;
    }
    let value: Value =
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{method} {path}: {error}: {body}"));
    if let Err(fault) = fits(&description, shape, &value) {
        panic!("{method} {path} {status}: {fault}: {body}");
    }
}

fn operation<'a>(description: &'a Value, method: &str, path: &str) -> Option<&'a Value> {
    let parts: Vec<&str> = path.split('/').collect();
    let is_path = |template: &str| {
        let template: Vec<&str> = template.split('/').collect();
        template.len() == parts.len()
            && template.iter().zip(&parts).all(|(one, other)| one.starts_with('{') || one == other)
    };
    let paths = description["paths"].as_object().unwrap();
    let (_, item) = paths.iter().find(|(template, _)| is_path(template))?;
    item.get(method.to_lowercase())
}

fn resolved<'a>(description: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => description.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
        None => value,
    }
}

/// Whether `value` fits `schema`.
fn fits(description: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let schema = resolved(description, schema);
    if let Some(known) = schema["enum"].as_array()
        && !known.contains(value)
    {
        return Err(format!("{value} is none of {known:?}"));
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fitting = choices.iter().filter(|choice| fits(description, choice, value).is_ok()).count();
        return if fitting == 1 { Ok(()) } else { Err(format!("{value} fits {fitting} of {choices:?}")) };
    }
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        Value::String(kind) => vec![kind.as_str()],
        _ => Vec::new(),
    };
    if !kinds.is_empty() && !kinds.contains(&kind(value)) {
        return Err(format!("{value} is no {kinds:?}"));
    }
    if schema["format"] == "date-time"
        && let Some(text) = value.as_str()
    {
        let format = &time::format_description::well_known::Rfc3339;
        time::OffsetDateTime::parse(text, format).map_err(|error| format!("{text}: {error}"))?;
    }
    for element in value.as_array().into_iter().flatten() {
        fits(description, &schema["items"], element)?;
    }
    let Some(object) = value.as_object() else { return Ok(()) };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        object.get(name).ok_or_else(|| format!("{name} is not there"))?;
    }
    for (name, value) in object {
        match schema["properties"].get(name) {
            Some(schema) => fits(description, schema, value).map_err(|fault| format!("{name}: {fault}"))?,
            None if schema["additionalProperties"] == false => {
                return Err(format!("{name} is not described"));
            }
            None => {}
        }
    }
    Ok(())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
