//! The list of all nodes.
//!
//! Owns: its form, entries that come and go, what is done about garbage. Invariant: an entry goes only when its record is
//! truly not there; whoever takes entries out looks again afterwards, so that a node which registered meanwhile is
//! listed. Does not: read records.

use parking_lot::Mutex;
use redis::Value;
use tokio::time::{Duration, Instant};
use weir_cluster::{NodeId, StateError};

use crate::error::garbage;
use crate::link::Link;
use crate::names::Names;
use crate::scan;
use crate::script::{self, MAX_LIST_BYTES, MAX_NODES};

/// A list up to this long is looked through with every registration.
const SHORT: usize = 100;
/// A longer one is looked through this often.
const PAUSE: Duration = Duration::from_secs(1);

/// What one proxy remembers of its work on the list.
#[derive(Debug, Default)]
pub(crate) struct List {
    pruned: Mutex<Option<Instant>>,
}

/// What a change of the list found.
struct Changed {
    garbage: bool,
    added: i64,
    entries: Vec<String>,
}

impl List {
    /// Lists `id`; gives whether it was not listed. Entries without a record go. Fails when there are too many nodes.
    pub(crate) async fn add(
        &self,
        link: &Link,
        names: &Names,
        id: &NodeId,
    ) -> Result<bool, StateError> {
        let own = [names.server(id)];
        let mut changed = change(link, names, &own, &[]).await?;
        if changed.added < 0 {
            // those that are dead may be in the way
            prune(link, names, &changed.entries).await?;
            changed = change(link, names, &own, &[]).await?;
            if changed.added < 0 {
                return Err(StateError::Full("it has as many nodes as it may"));
            }
        }
        if changed.garbage {
            tracing::warn!(key = names.list(), "list of nodes was garbage, begun anew");
            rebuild(link, names).await?;
        }
        if self.is_due(changed.entries.len()) {
            prune(link, names, &changed.entries).await?;
        }
        Ok(changed.added > 0)
    }

    fn is_due(&self, entries: usize) -> bool {
        let mut pruned = self.pruned.lock();
        let due = entries <= SHORT || pruned.is_none_or(|at| at.elapsed() >= PAUSE);
        if due {
            *pruned = Some(Instant::now());
        }
        due
    }
}

/// Takes `id` out.
pub(crate) async fn remove(link: &Link, names: &Names, id: &NodeId) -> Result<(), StateError> {
    change(link, names, &[], &[names.server(id)]).await?;
    Ok(())
}

/// All that are listed, in order; none when there is no list.
pub(crate) fn read(names: &Names, answer: &Value) -> Result<Vec<NodeId>, StateError> {
    let bad = |why: String| garbage(&names.list(), why);
    let bytes = match answer {
        Value::Nil => return Ok(Vec::new()),
        Value::BulkString(bytes) if bytes.len() <= MAX_LIST_BYTES => bytes,
        Value::BulkString(bytes) => return Err(bad(format!("{} bytes are no list", bytes.len()))),
        _ => return Err(bad("no text".to_owned())),
    };
    let entries: Vec<serde_json::Value> =
        serde_json::from_slice(bytes).map_err(|error| bad(error.to_string()))?;
    // what is no key of a record goes with the next registration
    let mut seen = std::collections::HashSet::new();
    let nodes = entries
        .iter()
        .filter_map(|entry| names.node(entry.as_str()?))
        .filter(|node| seen.insert(node.clone()));
    Ok(nodes.take(MAX_NODES).collect())
}

/// Takes out entries whose record is gone.
async fn prune(link: &Link, names: &Names, entries: &[String]) -> Result<(), StateError> {
    let dead = select(link, entries, false).await?;
    if dead.is_empty() {
        return Ok(());
    }
    change(link, names, &[], &dead).await?;
    let back = select(link, &dead, true).await?;
    if !back.is_empty() {
        change(link, names, &back, &[]).await?;
    }
    tracing::debug!(
        gone = dead.len() - back.len(),
        "nodes without record are off the list"
    );
    Ok(())
}

/// Those of `entries` whose record is there, or is not. One whose record cannot be asked for is neither.
async fn select(link: &Link, entries: &[String], there: bool) -> Result<Vec<String>, StateError> {
    let commands = entries.iter().map(|entry| {
        let mut command = redis::cmd("EXISTS");
        command.arg(entry);
        command
    });
    let answers = link.batch(commands.collect(), entries).await?;
    let wanted = Value::Int(i64::from(there));
    let chosen = entries
        .iter()
        .zip(answers)
        .filter(|(_, answer)| answer.as_ref() == Ok(&wanted));
    Ok(chosen.map(|(entry, _)| entry.clone()).collect())
}

/// Lists every record there is.
async fn rebuild(link: &Link, names: &Names) -> Result<(), StateError> {
    let found = scan::keys(link, &names.every_server(), MAX_NODES).await?;
    let mut found: Vec<String> = found.into_iter().collect();
    found.sort_unstable();
    if !found.is_empty() {
        change(link, names, &found, &[]).await?;
    }
    Ok(())
}

async fn change(
    link: &Link,
    names: &Names,
    add: &[String],
    remove: &[String],
) -> Result<Changed, StateError> {
    let key = names.list();
    let answer = link.one(script::list(&key, add, remove), &key).await?;
    let (was_garbage, added, entries): (i64, i64, Vec<Vec<u8>>) =
        redis::from_redis_value(answer).map_err(|error| garbage(&key, error.to_string()))?;
    Ok(Changed {
        garbage: was_garbage == 1,
        added,
        entries: entries
            .into_iter()
            .filter_map(|entry| String::from_utf8(entry).ok())
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<String>, StateError> {
        let nodes = read(
            &Names::new(""),
            &Value::BulkString(text.as_bytes().to_vec()),
        )?;
        Ok(nodes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_list_is_read_in_order() {
        let text =
            r#"["srs-proxy-server:b-1-1","srs-proxy-server:a-1-1","srs-proxy-server:b-1-1"]"#;
        assert_eq!(of(text).unwrap(), ["b-1-1", "a-1-1"]);
        assert_eq!(of("[]").unwrap(), [""; 0]);
        assert_eq!(read(&Names::new(""), &Value::Nil), Ok(Vec::new()));
    }

    #[test]
    fn entries_that_are_none_are_passed_over() {
        let text = r#"[1,null,"x","srs-proxy-server:","srs-proxy-server:a\u002d1-1",["srs-proxy-server:c"]]"#;
        assert_eq!(of(text).unwrap(), ["a-1-1"]);
    }

    #[test]
    fn garbage_is_told_with_its_key() {
        for text in [
            "",
            "{}",
            "null",
            "[",
            "[\"a\"]x",
            &" ".repeat(MAX_LIST_BYTES + 1),
        ] {
            let error = of(text).unwrap_err();
            assert!(
                matches!(&error, StateError::Garbage { key, .. } if key == "srs-proxy-all-servers"),
                "{error}"
            );
        }
        assert!(read(&Names::new(""), &Value::Int(1)).is_err());
    }
}
