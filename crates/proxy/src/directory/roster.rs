//! Which origins there are.
//!
//! Owns: [`Roster`], what the state lists together with what this proxy knows better, and [`Picture`], what sessions see
//! of it. Invariants: nobody expires while the state is away, nor before he had the time to register again after it
//! came back; the same id has the same [`Condition`] for as long as it is remembered.
//! Does not: read clocks, ask the state, or judge health.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use weir_cluster::{Node, NodeId, Service};

use super::condition::Condition;

/// Most origins. The largest known clusters have some hundred.
pub(super) const MAX_NODES: usize = 4096;

/// Origins that left and are still remembered by id, for bindings that name them.
const MAX_DEPARTED: usize = 1024;

/// When the state has lost its data, three beats of an SRS give the origins the time to register again.
const LOSS_GRACE: Duration = Duration::from_secs(30);

/// Where an origin stands in the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is there.
    Present,
    /// Its process was restarted: a newer record has its server id and its place.
    Superseded,
    /// It has left.
    Departed,
}

/// An origin in the picture.
#[derive(Debug)]
pub(super) struct Origin {
    /// Its record.
    pub(super) node: Arc<Node>,
    /// How it is.
    pub(super) condition: Arc<Condition>,
    /// Where it stands.
    pub(super) standing: Standing,
    /// What it is called in a rendezvous; the same after a restart at the same place.
    pub(super) name: String,
}

impl Origin {
    fn new(node: Arc<Node>, condition: Arc<Condition>, standing: Standing) -> Self {
        let name = place_name(&node);
        Self {
            node,
            condition,
            standing,
            name,
        }
    }

    /// Whether sessions may go there.
    pub(super) fn is_usable(&self) -> bool {
        self.standing == Standing::Present && self.condition.is_alive()
    }
}

/// Tells processes apart that share a server id, as SRS instances started in the same folder do.
fn place_name(node: &Node) -> String {
    let mut services = Service::ALL
        .iter()
        .map(|service| node.endpoints.get(*service));
    let first = services.find_map(|texts| texts.first());
    let first = first.map_or("", String::as_str);
    format!("{}\n{}\n{first}", node.server, node.host)
}

/// All origins at one time; never changes.
#[derive(Debug, Default)]
pub(super) struct Picture {
    /// Those that are there, superseded ones included, in order of arrival.
    pub(super) origins: Vec<Arc<Origin>>,
    index: HashMap<NodeId, Arc<Origin>>,
}

impl Picture {
    /// The origin with this id, departed ones included.
    pub(super) fn get(&self, id: &NodeId) -> Option<&Arc<Origin>> {
        self.index.get(id)
    }

    /// The living origin that took the place of `id`: the same server, best at the same place.
    pub(super) fn successor(&self, id: &NodeId) -> Option<&Arc<Origin>> {
        let gone = self.get(id);
        let living = || {
            let present = self.origins.iter();
            present.filter(|origin| origin.is_usable() && origin.node.id != *id)
        };
        match gone {
            Some(gone) => living()
                .find(|origin| origin.name == gone.name)
                .or_else(|| living().find(|origin| origin.node.server == gone.node.server)),
            None => living().find(|origin| {
                let rest = id.as_str().strip_prefix(&origin.node.server);
                rest.is_some_and(|rest| rest.starts_with('-'))
            }),
        }
    }
}

/// One origin and what is known of its registration.
#[derive(Debug)]
struct Entry {
    node: Arc<Node>,
    condition: Arc<Condition>,
    /// When the state last listed it or it registered here.
    seen: Instant,
    /// Its record in the last list, if it was there.
    listed: Option<Listed>,
    /// It needs no registration.
    fixed: bool,
    /// The state does not have its newest record.
    unwritten: bool,
    /// The state has not been told so.
    drain: Option<bool>,
}

/// A record as the state lists it.
#[derive(Debug, Clone, Copy)]
struct Listed {
    /// When it was made, by the clock of whoever took it.
    updated: SystemTime,
    /// When it was first listed.
    first: Instant,
}

/// An origin that was struck off here.
#[derive(Debug)]
struct Left {
    at: Instant,
    written: bool,
}

/// What the state has not been told.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    /// Records.
    pub(super) nodes: Vec<Arc<Node>>,
    /// Who drains, and who does not any more.
    pub(super) drains: Vec<(NodeId, bool)>,
    /// Who left.
    pub(super) left: Vec<NodeId>,
}

/// The origins and their registrations.
#[derive(Debug, Default)]
pub(super) struct Roster {
    entries: Vec<Entry>,
    departed: VecDeque<(Arc<Node>, Arc<Condition>)>,
    left: HashMap<NodeId, Left>,
    /// When the state was last found to have lost its data.
    loss: Option<Instant>,
}

/// Times by which a reading of the state is judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// When the state was asked.
    pub(super) asked: Instant,
    /// When the state last came back, if it ever was away.
    pub(super) returned: Option<Instant>,
    /// How long a registration is in force.
    pub(super) lease: Duration,
}

impl Roster {
    /// Takes what the state listed.
    pub(super) fn listed(&mut self, nodes: Vec<Node>, reading: Reading) {
        let asked = reading.asked;
        self.left
            .retain(|_, left| !left.written || left.at >= asked);
        let places = self.entries.iter().enumerate();
        let mut places: HashMap<NodeId, usize> = places
            .map(|(place, entry)| (entry.node.id.clone(), place))
            .collect();
        self.note_loss(&nodes, &places, reading);
        for node in nodes.into_iter().take(MAX_NODES) {
            if !self.left.contains_key(&node.id) {
                let next = places.len();
                let place = *places.entry(node.id.clone()).or_insert(next);
                self.upsert(node, place, asked, false);
            }
        }
        let Self {
            entries,
            departed,
            loss,
            ..
        } = self;
        entries.retain(|entry| {
            let silent = asked.saturating_duration_since(entry.seen);
            let lost_in_outage = reading.returned.is_some_and(|returned| {
                entry.seen < returned && asked.saturating_duration_since(returned) < reading.lease
            });
            let lost_with_all = loss.is_some_and(|loss| entry.seen < loss)
                && silent < LOSS_GRACE.min(reading.lease);
            let keep = entry.fixed
                || entry.seen >= asked
                || (entry.unwritten && silent < reading.lease)
                || lost_in_outage
                || lost_with_all;
            if !keep {
                depart(departed, entry);
            }
            keep
        });
    }

    /// Finds out whether the state has lost its data: it lists nobody; or not one record is as it was listed last, because
    /// some were made anew since and others are gone long before their lease could end. An origin that leaves alone leaves
    /// the others' records as they were.
    fn note_loss(
        &mut self,
        nodes: &[Node],
        places: &HashMap<NodeId, usize>,
        Reading { asked, lease, .. }: Reading,
    ) {
        let mut now: HashMap<usize, SystemTime> = HashMap::with_capacity(places.len());
        for node in nodes.iter().take(MAX_NODES) {
            if let Some(place) = places.get(&node.id) {
                now.insert(*place, node.updated);
            }
        }
        let (mut kept, mut renewed, mut gone, mut lost) = (false, false, false, false);
        for (place, entry) in self.entries.iter_mut().enumerate() {
            let before = entry.listed.take();
            if let Some(updated) = now.get(&place).copied() {
                let same = before.filter(|before| before.updated == updated);
                kept |= same.is_some();
                renewed |= same.is_none() && before.is_some();
                let first = asked;
                entry.listed = same.or(Some(Listed { updated, first }));
            } else if let Some(before) = before {
                gone = true;
                lost |= asked.saturating_duration_since(before.first) < lease / 2;
            }
        }
        if (gone && nodes.is_empty()) || (lost && renewed && !kept) {
            self.loss = Some(asked);
        }
    }

    /// Takes a registration made here, which the state is yet to be told. False when there is no room.
    pub(super) fn register(&mut self, node: Node, now: Instant) -> bool {
        let mut entries = self.entries.iter();
        let place = entries.position(|entry| entry.node.id == node.id);
        if place.is_none() && self.entries.len() >= MAX_NODES {
            return false;
        }
        self.left.remove(&node.id);
        let place = place.unwrap_or(self.entries.len());
        self.upsert(node, place, now, true);
        true
    }

    /// Takes an origin that needs no registration. False when there is no room.
    pub(super) fn fix(&mut self, node: Node, now: Instant) -> bool {
        let id = node.id.clone();
        if !self.register(node, now) {
            return false;
        }
        if let Some(entry) = self.entry(&id) {
            entry.fixed = true;
            // it is written when a probe has found it well
            entry.unwritten = false;
        }
        true
    }

    /// Replaces the record at `place`, or enters it behind all others when nothing is there.
    fn upsert(&mut self, mut node: Node, place: usize, seen: Instant, here: bool) {
        let Some(entry) = self.entries.get_mut(place) else {
            if self.entries.len() >= MAX_NODES {
                return;
            }
            let remembered = self.departed.iter().position(|(old, _)| old.id == node.id);
            let remembered = remembered.and_then(|index| self.departed.remove(index));
            let condition = match remembered {
                Some((_, condition)) => {
                    condition.relocated(seen);
                    condition
                }
                None => Arc::new(Condition::new(seen)),
            };
            let listed = (!here).then_some(Listed {
                updated: node.updated,
                first: seen,
            });
            self.entries.push(Entry {
                listed,
                node: Arc::new(node),
                condition,
                seen,
                fixed: false,
                unwritten: here,
                drain: None,
            });
            return;
        };
        if !here && entry.unwritten && entry.node.updated >= node.updated {
            return;
        }
        entry.seen = entry.seen.max(seen);
        entry.unwritten = here;
        // the word of who runs the cluster outlives registrations, as it does in the state
        match entry.drain {
            Some(drain) => node.report.draining = drain,
            None if here && entry.node.report.draining => node.report.draining = true,
            None => {}
        }
        if *entry.node == node {
            return;
        }
        if entry.node.host != node.host || entry.node.endpoints != node.endpoints {
            entry.condition.relocated(seen);
        }
        if entry.node.updated != node.updated {
            entry.condition.reported();
        }
        entry.node = Arc::new(node);
    }

    fn entry(&mut self, id: &NodeId) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.node.id == *id)
    }

    /// Strikes an origin off; the state is yet to be told. False when it is not there.
    pub(super) fn leave(&mut self, id: &NodeId, now: Instant) -> bool {
        let Some(index) = self.entries.iter().position(|entry| entry.node.id == *id) else {
            return false;
        };
        let entry = self.entries.remove(index);
        depart(&mut self.departed, &entry);
        if self.left.len() < MAX_NODES {
            let left = Left {
                at: now,
                written: false,
            };
            self.left.insert(id.clone(), left);
        }
        true
    }

    /// Notes whether an origin drains; the state is yet to be told. False when it is not there.
    pub(super) fn drain(&mut self, id: &NodeId, draining: bool) -> bool {
        let Some(entry) = self.entry(id) else {
            return false;
        };
        entry.drain = Some(draining);
        let mut node = Node::clone(&entry.node);
        node.report.draining = draining;
        entry.node = Arc::new(node);
        true
    }

    /// What the state is yet to be told.
    pub(super) fn unwritten(&self) -> Unwritten {
        let entries = self.entries.iter();
        let nodes = entries.clone().filter(|entry| entry.unwritten);
        let drains = entries.filter_map(|entry| Some((entry.node.id.clone(), entry.drain?)));
        let left = self.left.iter().filter(|(_, left)| !left.written);
        Unwritten {
            nodes: nodes.map(|entry| Arc::clone(&entry.node)).collect(),
            drains: drains.collect(),
            left: left.map(|(id, _)| id.clone()).collect(),
        }
    }

    /// The state has this record.
    pub(super) fn node_written(&mut self, node: &Node) {
        if let Some(entry) = self.entry(&node.id)
            && entry.node.updated == node.updated
        {
            entry.unwritten = false;
        }
    }

    /// The state knows whether this origin drains.
    pub(super) fn drain_written(&mut self, id: &NodeId, draining: bool) {
        if let Some(entry) = self.entry(id)
            && entry.drain == Some(draining)
        {
            entry.drain = None;
        }
    }

    /// The state knows that this origin has left.
    pub(super) fn leave_written(&mut self, id: &NodeId, now: Instant) {
        if let Some(left) = self.left.get_mut(id) {
            left.written = true;
            // a reading that is under way may list it for the last time
            left.at = now;
        }
    }

    /// Origins that need no registration.
    pub(super) fn fixed(&self) -> Vec<(Arc<Node>, Arc<Condition>)> {
        let fixed = self.entries.iter().filter(|entry| entry.fixed);
        fixed
            .map(|entry| (Arc::clone(&entry.node), Arc::clone(&entry.condition)))
            .collect()
    }

    /// What sessions see. Unchanged origins are those of `before`.
    pub(super) fn picture(&self, before: &Picture) -> Picture {
        let mut newest: HashMap<String, &Entry> = HashMap::new();
        for entry in &self.entries {
            newest
                .entry(place_name(&entry.node))
                .and_modify(|other| {
                    if entry.node.updated >= other.node.updated {
                        *other = entry;
                    }
                })
                .or_insert(entry);
        }
        let mut picture = Picture::default();
        let known = |node: &Arc<Node>, condition: &Arc<Condition>, standing| {
            let old = before.get(&node.id);
            let same = old.filter(|old| Arc::ptr_eq(&old.node, node) && old.standing == standing);
            match same {
                Some(origin) => Arc::clone(origin),
                None => {
                    let (node, condition) = (Arc::clone(node), Arc::clone(condition));
                    Arc::new(Origin::new(node, condition, standing))
                }
            }
        };
        for (node, condition) in &self.departed {
            let origin = known(node, condition, Standing::Departed);
            picture.index.insert(node.id.clone(), origin);
        }
        for entry in &self.entries {
            let latest = newest.get(&place_name(&entry.node));
            let standing = match latest.is_some_and(|latest| latest.node.id == entry.node.id) {
                true => Standing::Present,
                false => Standing::Superseded,
            };
            let origin = known(&entry.node, &entry.condition, standing);
            let id = entry.node.id.clone();
            picture.index.insert(id, Arc::clone(&origin));
            picture.origins.push(origin);
        }
        picture
    }
}

fn depart(departed: &mut VecDeque<(Arc<Node>, Arc<Condition>)>, entry: &Entry) {
    if departed.len() >= MAX_DEPARTED {
        departed.pop_front();
    }
    departed.push_back((Arc::clone(&entry.node), Arc::clone(&entry.condition)));
}

#[cfg(test)]
mod tests;
