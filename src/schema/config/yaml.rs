//! YAML: a text as the JSON that it stands for.

use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde_json::{Map, Value};

/// # Errors
/// The text is no YAML, or not one document of what JSON has: names are texts, and nothing has a
/// type of its own.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let documents = Yaml::load_from_str(text).map_err(|error| error.to_string())?;
    match documents.as_slice() {
        [document] => value_of(document),
        documents => Err(format!("it holds {} YAML documents, not one", documents.len())),
    }
}

fn value_of(node: &Yaml<'_>) -> Result<Value, String> {
    Ok(match node {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => Value::Bool(*value),
        Yaml::Value(Scalar::Integer(value)) => Value::from(*value),
        Yaml::Value(Scalar::FloatingPoint(value)) => Value::from(value.into_inner()),
        Yaml::Value(Scalar::String(text)) => Value::String(text.to_string()),
        Yaml::Sequence(elements) => {
            Value::Array(elements.iter().map(value_of).collect::<Result<_, _>>()?)
        }
        Yaml::Mapping(members) => {
            let mut object = Map::new();
            for (name, value) in members {
                let name = name.as_str().ok_or("a name is no text")?;
                object.insert(name.to_owned(), value_of(value)?);
            }
            Value::Object(object)
        }
        Yaml::Tagged(..) | Yaml::Alias(_) | Yaml::Representation(..) | Yaml::BadValue => {
            return Err("it holds what JSON has no form for".into());
        }
    })
}
