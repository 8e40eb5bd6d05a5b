//! The terminal while the view is open.
//!
//! Owns: the terminal's modes and their end in every case: a key, a signal, a panic; the loop that draws and reads keys; the
//! thread that asks. Invariants: at most one question is under way; both queues have room for what one look needs.
//! Does not: know what is drawn or what keys mean.

use std::io::{self, Stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use anyhow::Context as _;
use crossterm::cursor::{Hide, Show};
use crossterm::event::{self, Event};
use crossterm::terminal::{
    Clear, ClearType, DisableLineWrap, EnableLineWrap, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode, size,
};
use crossterm::{execute, queue};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::canvas::Canvas;
use crate::client::Client;
use crate::clock;
use crate::facts::{self, Facts, Wanted};
use crate::state::{State, Tab, Wish};
use crate::view;

/// How soon a signal or an answer is noticed while no key is pressed.
const NOTICE: Duration = Duration::from_millis(100);

/// Questions that wait: a look, and a kick that came meanwhile.
const WAITING: usize = 2;

/// What the asking thread is to do.
enum Question {
    /// Look.
    Look(Wanted),
    /// Kick this client.
    Kick(String),
}

/// What came of it.
enum Answer {
    /// What was told.
    Facts(Result<Facts, String>),
    /// What became of a kick.
    Kicked(String),
}

/// The terminal, which is put back as it was when this is dropped.
struct Screen {
    out: Stdout,
    /// What it shows.
    shown: Option<Canvas>,
}

impl Screen {
    /// Takes the terminal. A panic puts it back before it says what happened.
    fn open() -> io::Result<Self> {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            hook(panic);
        }));
        let mut screen = Self {
            out: io::stdout(),
            shown: None,
        };
        enable_raw_mode()?;
        execute!(screen.out, EnterAlternateScreen, DisableLineWrap, Hide)?;
        Ok(screen)
    }

    fn draw(&mut self, state: &State) -> io::Result<()> {
        let (width, height) = size()?;
        let mut canvas = Canvas::new(width, height);
        view::draw(&mut canvas, state);
        let shown = self.shown.as_ref();
        if shown.is_none_or(|shown| shown.area() != canvas.area()) {
            queue!(self.out, Clear(ClearType::All))?;
        }
        canvas.write(shown, &mut self.out)?;
        self.shown = Some(canvas);
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    // the terminal may be gone, and nobody is left to tell
    let _ = disable_raw_mode();
    let _ = execute!(io::stdout(), EnableLineWrap, LeaveAlternateScreen, Show);
}

/// Shows the server behind `client` until a key or a signal ends it.
pub(crate) fn run(client: Client, interval: Duration) -> anyhow::Result<()> {
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&ended))
            .context("signals cannot be handled")?;
    }
    let mut state = State::new(client.address());
    let (questions, answers) = asker(client)?;
    let mut screen = Screen::open().context("the terminal cannot be used")?;
    let mut next = clock::now();
    let mut is_asked = false;
    while !ended.load(Ordering::Relaxed) {
        while let Ok(answer) = answers.try_recv() {
            match answer {
                Answer::Facts(told) => {
                    is_asked = false;
                    next = clock::now() + interval;
                    state.take(told);
                }
                Answer::Kicked(text) => state.message = Some(text),
            }
        }
        if !is_asked && clock::now() >= next {
            let wanted = match state.tab {
                Tab::Streams => Wanted::Streams,
                Tab::Clients => Wanted::Everything,
            };
            is_asked = questions.try_send(Question::Look(wanted)).is_ok();
        }
        screen.draw(&state)?;
        if !event::poll(NOTICE)? {
            continue;
        }
        // a change of size is drawn like everything else
        let Event::Key(key) = event::read()? else {
            continue;
        };
        match state.key(key) {
            Wish::Quit => break,
            Wish::Ask => next = clock::now(),
            Wish::Kick(id) => {
                if questions.try_send(Question::Kick(id)).is_err() {
                    state.message = Some("the server is busy: try again".to_owned());
                }
            }
            Wish::Nothing => {}
        }
    }
    Ok(())
}

/// Starts the thread that asks.
fn asker(client: Client) -> anyhow::Result<(SyncSender<Question>, Receiver<Answer>)> {
    let (questions, asked) = sync_channel(WAITING);
    let (answers, told) = sync_channel(WAITING);
    let work = move || {
        // either end is gone when the view is
        for question in asked {
            let answer = match question {
                Question::Look(wanted) => {
                    let facts = facts::fetch(&client, wanted);
                    Answer::Facts(facts.map_err(|error| error.to_string()))
                }
                Question::Kick(id) => Answer::Kicked(match client.kick(&id) {
                    Ok(()) => format!("{id} is being closed"),
                    Err(error) => error.to_string(),
                }),
            };
            if answers.send(answer).is_err() {
                return;
            }
        }
    };
    let named = std::thread::Builder::new().name("ask".to_owned());
    named.spawn(work).context("no thread can be started")?;
    Ok((questions, told))
}
