// Chromium without a window, driven by the DevTools protocol over a pipe: no package and no port is needed.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

// A call that takes longer has failed.
const PATIENCE_MS = 30_000;

export class Chromium {
  #process;
  #profile;
  #pending = new Map();
  #listeners = [];
  #next = 1;
  #rest = "";

  static async start(program) {
    const chromium = new Chromium();
    chromium.#profile = await mkdtemp(join(tmpdir(), "trishift-chromium-"));
    const options = [
      "--headless=new", "--remote-debugging-pipe", `--user-data-dir=${chromium.#profile}`, "--no-first-run", "--disable-gpu",
      "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
      "--force-device-scale-factor=1", "--hide-scrollbars",
      // A container's root has no sandbox to give; the pages are this project's.
      ...(process.getuid() === 0 || process.env.CI ? ["--no-sandbox"] : []),
      "about:blank",
    ];
    chromium.#process = spawn(program, options, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
    chromium.#process.on("exit", (code) => chromium.#fail(new Error(`Chromium ended (${code})`)));
    chromium.#process.on("error", (error) => chromium.#fail(error));
    chromium.#process.stdio[3].on("error", () => {});
    chromium.#process.stdio[4].setEncoding("utf8").on("data", (text) => chromium.#receive(text));
    return chromium;
  }

  // Calls a method of the protocol.
  call(method, params = {}, sessionId = undefined) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${method} took too long`)), PATIENCE_MS);
      this.#pending.set(id, { resolve, reject, method, timer });
      this.#process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  // Calls back for every event.
  listen(listener) {
    this.#listeners.push(listener);
  }

  async openPage(width, height) {
    const { targetId } = await this.call("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.call("Target.attachToTarget", { targetId, flatten: true });
    const page = new Page(this, sessionId, targetId);
    for (const domain of ["Page", "Runtime", "Network", "Log"]) await page.call(`${domain}.enable`);
    await page.resize(width, height);
    return page;
  }

  async stop() {
    this.#process.removeAllListeners("exit");
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    if (this.#process.exitCode === null) {
      this.#process.kill("SIGTERM");
      await ended;
    }
    await rm(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }

  #receive(text) {
    const messages = (this.#rest + text).split("\0");
    this.#rest = messages.pop();
    for (const message of messages.map((each) => JSON.parse(each))) {
      if (message.id === undefined) {
        for (const listener of this.#listeners) listener(message);
        continue;
      }
      const { resolve, reject, method, timer } = this.#pending.get(message.id);
      this.#pending.delete(message.id);
      clearTimeout(timer);
      if (message.error) reject(new Error(`${method}: ${message.error.message}`));
      else resolve(message.result);
    }
  }

  #fail(error) {
    for (const { reject, timer } of this.#pending.values()) {
      clearTimeout(timer);
      reject(error);
    }
    this.#pending.clear();
  }
}

export class Page {
  // What scripts threw, what the console and the log called errors.
  errors = [];
  #chromium;
  #session;
  #target;

  constructor(chromium, session, target) {
    this.#chromium = chromium;
    this.#session = session;
    this.#target = target;
    chromium.listen(({ method, params, sessionId }) => {
      if (sessionId !== session) return;
      if (method === "Runtime.exceptionThrown") this.errors.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
      if (method === "Log.entryAdded" && params.entry.level === "error") this.errors.push(`${params.entry.text} ${params.entry.url ?? ""}`);
      if (method === "Runtime.consoleAPICalled" && params.type === "error") this.errors.push(params.args[0]?.value);
    });
  }

  call(method, params = {}) {
    return this.#chromium.call(method, params, this.#session);
  }

  // Another page comes to the front then, once it is asked to: those behind draw no frames.
  close() {
    return this.#chromium.call("Target.closeTarget", { targetId: this.#target });
  }

  resize(width, height) {
    return this.call("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: false });
  }

  // The value of an expression, or of what it promises.
  async evaluate(expression) {
    const { result, exceptionDetails } = await this.call("Runtime.evaluate", {
      expression, awaitPromise: true, returnByValue: true, userGesture: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  // Waits until an expression is true; a page on its way to another one has none.
  async until(expression) {
    const end = Date.now() + PATIENCE_MS;
    while (Date.now() < end) {
      if (await this.evaluate(expression).catch(() => false)) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`it never was true that ${expression}`);
  }

  async open(url) {
    await this.call("Page.navigate", { url });
    await this.until("document.documentElement?.dataset.ready === 'yes'");
  }

  async reload() {
    await this.evaluate("document.documentElement.dataset.ready = 'no'");
    await this.call("Page.reload");
    await this.until("document.documentElement?.dataset.ready === 'yes'");
  }

  // Two frames on, the page shows what it was told.
  settle() {
    return this.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))");
  }

  // Draws strokes, in shares of an element's box, with the mouse.
  async draw(selector, strokes) {
    await this.evaluate(`document.querySelector(${JSON.stringify(selector)}).scrollIntoView({ block: "center" })`);
    const box = await this.evaluate(
      `(({ left, top, width, height }) => ({ left, top, width, height }))(document.querySelector(${JSON.stringify(selector)}).getBoundingClientRect())`,
    );
    const mouse = (type, { x, y }, buttons) =>
      this.call("Input.dispatchMouseEvent", {
        type, x: box.left + x * box.width, y: box.top + y * box.height, button: "left", buttons, clickCount: 1,
      });
    for (const stroke of strokes) {
      await mouse("mousePressed", stroke[0], 1);
      for (const [from, to] of stroke.slice(1).map((to, index) => [stroke[index], to])) {
        for (const t of [0.25, 0.5, 0.75, 1]) {
          await mouse("mouseMoved", { x: from.x + t * (to.x - from.x), y: from.y + t * (to.y - from.y) }, 1);
        }
      }
      await mouse("mouseReleased", stroke.at(-1), 0);
    }
    await this.settle();
  }

  // Drops files of this machine onto the middle of the page.
  async drop(files) {
    const data = { items: [], files, dragOperationsMask: 1 };
    for (const type of ["dragEnter", "dragOver", "drop"]) {
      await this.call("Input.dispatchDragEvent", { type, x: 200, y: 200, data });
    }
  }

  key(key, code) {
    return this.call("Input.dispatchKeyEvent", { type: "keyDown", key, code, text: key.length === 1 ? key : undefined });
  }

  async offline(isOffline) {
    await this.call("Network.emulateNetworkConditions", { offline: isOffline, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
  }

  async screenshot() {
    const { data } = await this.call("Page.captureScreenshot", { format: "png" });
    return Buffer.from(data, "base64");
  }
}
