//! Every key of a kind.
//!
//! Owns: the walk over one server or all masters of a cluster. Does not: read what is under the keys.

use std::collections::{BTreeMap, HashSet};

use redis::Value;
use weir_cluster::StateError;

use crate::error::garbage;
use crate::link::Link;

/// Keys that a server looks at for one answer: a fraction of a millisecond of its time.
const STEP: usize = 1000;
/// Most servers of a cluster, which Redis bounds at 1,000 itself.
const MAX_MASTERS: usize = 1000;

/// At most `limit` keys that match `pattern`, each once, in no order. Takes as many round trips as there are thousands of
/// keys of any kind.
pub(crate) async fn keys(
    link: &Link,
    pattern: &str,
    limit: usize,
) -> Result<HashSet<String>, StateError> {
    let mut found = HashSet::new();
    for slot in slots(link).await? {
        let mut cursor: u64 = 0;
        while found.len() < limit {
            let mut command = redis::cmd("SCAN");
            command.arg(cursor).arg("MATCH").arg(pattern);
            command.arg("COUNT").arg(STEP);
            let answer = link.one_at(command, pattern, slot).await?;
            let (next, keys): (u64, Vec<Vec<u8>>) = redis::from_redis_value(answer)
                .map_err(|error| garbage(pattern, error.to_string()))?;
            // a key that is no text is none of ours
            let keys = keys
                .into_iter()
                .filter_map(|key| String::from_utf8(key).ok());
            for key in keys {
                if found.len() < limit {
                    found.insert(key);
                }
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
    }
    Ok(found)
}

/// A slot of each master.
async fn slots(link: &Link) -> Result<Vec<u16>, StateError> {
    if !link.is_cluster() {
        return Ok(vec![0]);
    }
    let mut command = redis::cmd("CLUSTER");
    command.arg("SLOTS");
    let answer = link.one_at(command, "cluster slots", 0).await?;
    let Value::Array(ranges) = answer else {
        return Err(garbage("cluster slots", "not a list"));
    };
    let mut masters: BTreeMap<Vec<u8>, u16> = BTreeMap::new();
    for range in ranges {
        if let Some((master, slot)) = master(&range)
            && masters.len() < MAX_MASTERS
        {
            masters.entry(master).or_insert(slot);
        }
    }
    Ok(masters.into_values().collect())
}

/// The id of a range's master and its first slot: `[first, last, [address, port, id, …], replicas…]`.
fn master(range: &Value) -> Option<(Vec<u8>, u16)> {
    let Value::Array(parts) = range else {
        return None;
    };
    let [Value::Int(first), _, Value::Array(master), ..] = parts.as_slice() else {
        return None;
    };
    let [_, _, Value::BulkString(id), ..] = master.as_slice() else {
        return None;
    };
    Some((id.clone(), u16::try_from(*first).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_names_its_master() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let node = Value::Array(vec![
            text("127.0.0.1"),
            Value::Int(7000),
            text("id"),
            Value::Nil,
        ]);
        let range = |first| Value::Array(vec![Value::Int(first), Value::Int(5460), node.clone()]);
        assert_eq!(master(&range(5)), Some((b"id".to_vec(), 5)));
        assert_eq!(master(&range(-1)), None);
        assert_eq!(
            master(&Value::Array(vec![Value::Int(0), Value::Int(1)])),
            None
        );
        assert_eq!(master(&Value::Nil), None);
    }
}
