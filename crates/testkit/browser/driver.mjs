// Drives one headless Chromium for the tests: one JSON object a line, orders on standard input, answers and events on
// standard output.
//
// An order is {"id", "do", …}; its answer {"id", "ok": value} or {"id", "failed": text}. Events come between them:
// {"event": "report" | "error", "page", …} and {"event": "gone"}. The end of the input ends the browser and this program.
//
// Owns: the browser, its pages, each in a context of its own with nothing remembered, and the server of the test pages,
// which is of another origin than any server that is tested.
// Does not: keep anything on disk but what TMPDIR is for, or let the browser reach another machine.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

/** Longest wait for anything in a page, and for the browser to start: this machine may have much else to do. */
const PATIENCE_MS = 60_000;

/** Time between two looks at a page for what it tells no event of. */
const LOOK_MS = 50;

/** Longest wait for the browser to end in order; then it is killed. */
const FAREWELL_MS = 5_000;

/** Most requests remembered of each page: a player of short parts makes ten a second. */
const MOST_REQUESTS = 20_000;

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--autoplay-policy=no-user-gesture-required',
  // nothing but this machine has an address: a test of what is asked for must not reach out
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE [::1], EXCLUDE localhost',
];

const HTML = 'text/html; charset=utf-8';
const SCRIPT = 'text/javascript; charset=utf-8';

/** What the server has: path, file beside this one, type. */
const FILES = [
  ['/play.html', 'page/play.html', HTML],
  ['/play.mjs', 'page/play.mjs', SCRIPT],
  ['/clock.mjs', 'page/clock.mjs', SCRIPT],
  ['/mpegts.js', 'node_modules/mpegts.js/dist/mpegts.js', SCRIPT],
  ['/hls.js', 'node_modules/hls.js/dist/hls.min.js', SCRIPT],
  ['/dash.js', 'node_modules/dashjs/dist/modern/umd/dash.all.min.js', SCRIPT],
];

function serve() {
  const files = new Map(FILES.map(([path, file, type]) => [path, { file, type }]));
  const server = createServer((request, response) => {
    const found = files.get(request.url);
    if (!found) {
      response.writeHead(request.url === '/favicon.ico' ? 204 : 404).end();
      return;
    }
    response.writeHead(200, { 'content-type': found.type, 'cache-control': 'no-store' });
    response.end(readFileSync(new URL(found.file, import.meta.url)));
  });
  return new Promise((listening) => {
    server.listen(0, '127.0.0.1', () => listening(`http://127.0.0.1:${server.address().port}`));
  });
}

function say(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** The one child of this program, which leads a process group of its own; null where the system does not tell. */
function childOf(pid) {
  try {
    return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]) || null;
  } catch {
    return null;
  }
}

let browser = null;
let pages = null;
const open = new Map();

/** A page in a context of its own, whose requests and errors are kept. */
async function newPage(number, look = {}) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, ...look });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const requests = [];
  const asked = new Map();
  page.on('request', (request) => {
    if (requests.length === MOST_REQUESTS) return;
    const entry = { url: request.url(), method: request.method(), kind: request.resourceType(), status: null, failure: null };
    requests.push(entry);
    asked.set(request, entry);
  });
  page.on('response', (response) => {
    const entry = asked.get(response.request());
    if (entry) entry.status = response.status();
  });
  page.on('requestfailed', (request) => {
    const entry = asked.get(request);
    if (entry) entry.failure = request.failure()?.errorText ?? 'failed';
    asked.delete(request);
  });
  page.on('requestfinished', (request) => asked.delete(request));
  page.on('websocket', (socket) => {
    if (requests.length === MOST_REQUESTS) return;
    requests.push({ url: socket.url(), method: 'GET', kind: 'websocket', status: null, failure: null });
  });
  const error = (text) => say({ event: 'error', page: number, text });
  page.on('console', (message) => {
    if (message.type() === 'error') error(`console: ${message.text()} (${message.location().url})`);
  });
  page.on('pageerror', (thrown) => error(`thrown: ${thrown.message}`));
  page.on('crash', () => error('the page crashed'));
  open.set(number, { context, page, requests });
  return page;
}

function pageOf(order) {
  const found = open.get(order.page);
  if (!found) throw new Error(`no page ${order.page}`);
  return found.page;
}

const orders = {
  async start({ executable }) {
    pages = await serve();
    browser = await chromium.launch({
      executablePath: executable,
      headless: true,
      args: FLAGS,
      timeout: PATIENCE_MS,
      handleSIGINT: false,
      handleSIGTERM: false,
      handleSIGHUP: false,
    });
    browser.on('disconnected', () => say({ event: 'gone' }));
    return { version: browser.version(), pid: childOf(process.pid), pages };
  },

  async open(order) {
    const page = await newPage(order.page, order.look);
    const response = await page.goto(order.url, { waitUntil: 'load', timeout: PATIENCE_MS });
    return response?.status() ?? null;
  },

  async play(order) {
    const page = await newPage(order.page);
    await page.exposeFunction('weirTold', (report) => {
      say({ event: 'report', page: order.page, report: JSON.parse(report) });
    });
    await page.goto(`${pages}/play.html`, { waitUntil: 'load', timeout: PATIENCE_MS });
    const { player, url, options } = order;
    await page.evaluate((what) => window.weirPlay(what), { player, url, options });
  },

  async eval(order) {
    return (await pageOf(order).evaluate(order.js)) ?? null;
  },

  async click(order) {
    await pageOf(order).click(order.selector);
  },

  async fill(order) {
    await pageOf(order).fill(order.selector, order.value);
  },

  async select(order) {
    await pageOf(order).selectOption(order.selector, order.value);
  },

  async press(order) {
    await pageOf(order).press(order.selector, order.key);
  },

  async wait_for(order) {
    await pageOf(order).locator(order.selector).first().waitFor({ state: order.state });
  },

  async until(order) {
    // not by waitForFunction: that evaluates within the page, whose policy may forbid it
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const value = await pageOf(order).evaluate(order.js);
      if (value) return value;
      if (Date.now() > deadline) throw new Error(`never true within ${PATIENCE_MS} ms: ${order.js}`);
      await new Promise((passed) => setTimeout(passed, LOOK_MS));
    }
  },

  async text(order) {
    return pageOf(order).locator(order.selector).first().innerText();
  },

  async count(order) {
    return pageOf(order).locator(order.selector).count();
  },

  async goto(order) {
    const response = await pageOf(order).goto(order.url, { waitUntil: 'load', timeout: PATIENCE_MS });
    return response?.status() ?? null;
  },

  async screenshot(order) {
    await pageOf(order).screenshot({ path: order.path, fullPage: order.whole, timeout: PATIENCE_MS });
  },

  async requests(order) {
    pageOf(order);
    return open.get(order.page).requests;
  },

  async close(order) {
    const found = open.get(order.page);
    open.delete(order.page);
    await found?.context.close();
  },
};

async function obey(order) {
  try {
    say({ id: order.id, ok: (await orders[order.do](order)) ?? null });
  } catch (error) {
    say({ id: order.id, failed: error.message ?? String(error) });
  }
}

const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => void obey(JSON.parse(line)));
lines.on('close', async () => {
  // what does not end in order is killed by whoever closed the input
  setTimeout(() => process.exit(1), FAREWELL_MS).unref();
  await browser?.close().catch(() => {});
  process.exit(0);
});
