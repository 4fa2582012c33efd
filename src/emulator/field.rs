//! Field: the field at a path of names.

use prost_reflect::{FieldDescriptor, MessageDescriptor};

/// The field at a path of proto or JSON names.
pub(super) fn field_of(message: &MessageDescriptor, path: &str) -> Option<FieldDescriptor> {
    fields_along(message, path)?.pop()
}

/// The fields that a path of proto or JSON names leads through.
pub(super) fn fields_along(
    message: &MessageDescriptor,
    path: &str,
) -> Option<Vec<FieldDescriptor>> {
    let mut fields = Vec::<FieldDescriptor>::new();
    let mut message = Some(message.clone());
    for name in path.split('.') {
        let here = message?;
        let field = here.get_field_by_name(name).or_else(|| here.get_field_by_json_name(name))?;
        let inner = field.kind().as_message().cloned();
        message = inner.filter(|_| !field.is_list() && !field.is_map());
        fields.push(field);
    }
    Some(fields)
}
