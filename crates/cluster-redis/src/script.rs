//! Changes that depend on what is stored. Each is one script on one key.
//!
//! Owns: their texts and arguments. Does not: send them. They are sent whole each time: Redis keeps them by their hash
//! anyway, and a script that is named by its hash fails on a server that was restarted.

use redis::Cmd;

use crate::names::MAX_CLAIM_BYTES;

/// Most nodes of a cluster: the largest that are known have hundreds.
pub(crate) const MAX_NODES: usize = 10_000;
/// Longest list of all nodes in bytes, 400 for each; a longer one is garbage.
pub(crate) const MAX_LIST_BYTES: usize = 400 * MAX_NODES;

/// Binds a stream: `ARGV` is the new claim's text, the text of the one it replaces or nothing, what every claim begins
/// with, and its most bytes. Gives the text in force; if it is another's and expires, it goes on doing so until somebody
/// holds it. What is no claim is overwritten, as nobody could ever replace it.
const CLAIM: &str = "\
local v = redis.pcall('GET', KEYS[1])
if type(v) == 'string' and v ~= ARGV[1] and v ~= ARGV[2]
  and string.sub(v, 1, #ARGV[3]) == ARGV[3] and #v <= tonumber(ARGV[4]) then
  return v
end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]";

/// Notes an expectation: `ARGV` is its text, its milliseconds, what every one begins with, and its most bytes. Gives the
/// text in force.
const EXPECT: &str = "\
local v = redis.pcall('GET', KEYS[1])
if type(v) == 'string' and v ~= ARGV[1]
  and string.sub(v, 1, #ARGV[3]) == ARGV[3] and #v <= tonumber(ARGV[4]) then
  return v
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]";

/// Holds a claim: `ARGV` is its text.
const HOLD: &str = "\
local v = redis.pcall('GET', KEYS[1])
if v == ARGV[1] then redis.call('PERSIST', KEYS[1])
elseif type(v) ~= 'string' then redis.call('SET', KEYS[1], ARGV[1]) end";

/// Lets a claim expire: `ARGV` is its text and the milliseconds.
const RELEASE: &str = "\
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end";

/// Strikes a claim off: `ARGV` is its text.
const FORGET: &str = "\
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end";

/// Changes the list: `ARGV` is the most entries, the most bytes, the number of entries to append, these, and those to
/// take out. Gives whether it was garbage and was begun anew, how many entries are new or -1 if they are too many, and
/// the list. Everything that is no text, and what is there twice, goes; order stays. The encoder of Redis writes `\/`
/// for `/`, which the SRS proxy does not, and `{}` for the empty array.
const LIST: &str = r"
local raw = redis.pcall('GET', KEYS[1])
local garbage, list = 0, {}
if raw then
  local ok, got = false, nil
  if type(raw) == 'string' and #raw <= tonumber(ARGV[2]) and string.match(raw, '^%s*%[') then
    ok, got = pcall(cjson.decode, raw)
  end
  if ok and type(got) == 'table' then list = got else garbage = 1 end
end
local adds = tonumber(ARGV[3])
local gone, seen, out, changed, added = {}, {}, {}, garbage == 1, 0
for i = adds + 4, #ARGV do gone[ARGV[i]] = true end
for _, key in ipairs(list) do
  if type(key) == 'string' and not seen[key] and not gone[key] then
    seen[key] = true
    out[#out + 1] = key
  else
    changed = true
  end
end
for i = 4, adds + 3 do
  local key = ARGV[i]
  if not seen[key] then
    if #out >= tonumber(ARGV[1]) then return {garbage, -1, out} end
    seen[key] = true
    out[#out + 1] = key
    added = added + 1
    changed = true
  end
end
if changed then
  local text = '[]'
  if #out > 0 then text = string.gsub(cjson.encode(out), '\\/', '/') end
  redis.call('SET', KEYS[1], text)
else
  redis.call('PERSIST', KEYS[1])
end
return {garbage, added, out}";

/// Binds the stream of `key`; gives the text in force.
pub(crate) fn claim(key: &str, text: &str, replacing: &str, server_prefix: &str) -> Cmd {
    let most = MAX_CLAIM_BYTES.to_string();
    eval(CLAIM, key, &[text, replacing, server_prefix, &most])
}

/// Notes where viewers of `key` wait; gives the text in force.
pub(crate) fn expect(key: &str, text: &str, millis: u64, server_prefix: &str) -> Cmd {
    let (millis, most) = (millis.to_string(), MAX_CLAIM_BYTES.to_string());
    eval(EXPECT, key, &[text, &millis, server_prefix, &most])
}

/// Keeps the claim of `key`, or writes it again.
pub(crate) fn hold(key: &str, text: &str) -> Cmd {
    eval(HOLD, key, &[text])
}

/// Lets the claim of `key` expire if it is still `text`.
pub(crate) fn release(key: &str, text: &str, millis: u64) -> Cmd {
    eval(RELEASE, key, &[text, &millis.to_string()])
}

/// Strikes the claim of `key` off if it is still `text`.
pub(crate) fn forget(key: &str, text: &str) -> Cmd {
    eval(FORGET, key, &[text])
}

/// Appends `add` to the list and takes `remove` out.
pub(crate) fn list(key: &str, add: &[String], remove: &[String]) -> Cmd {
    let mut command = eval(
        LIST,
        key,
        &[
            &MAX_NODES.to_string(),
            &MAX_LIST_BYTES.to_string(),
            &add.len().to_string(),
        ],
    );
    for entry in add.iter().chain(remove) {
        command.arg(entry);
    }
    command
}

fn eval(script: &str, key: &str, arguments: &[&str]) -> Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(script).arg(1).arg(key);
    for argument in arguments {
        command.arg(*argument);
    }
    command
}
