// The page in Chromium: what people do with it, and every integer against this machine's runtime.
//
//     node check.mjs --trishift PROGRAM --trace PROGRAM [--chromium PROGRAM] [--module FILE] [--mnist FILE]
//         [--screenshot FILE.png]
//
// `--trishift` is the command, `--trace` this crate's example of that name. `--module` is a module built anew,
// compared as the page's own is. `--mnist` takes MNIST's t10k-images-idx3-ubyte and
// compares on its first 100 images; without it, on built-in digits and noise. `--screenshot` keeps a picture of the page.

import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Chromium } from "./chromium.mjs";
import { builtin, mnist } from "./samples.mjs";

const COUNT = 100;
// Bytes before the labels of an IDX file.
const LABELS_HEADER = 8;
const root = fileURLToPath(new URL("../../../..", import.meta.url));
const pageFolder = join(root, "edge-runtime/web/page");
const models = join(root, "firmware-examples/models");

// As people write them, in shares of the pad: not the page's own examples.
const DRAWN = [
  ["4", [[[0.3, 0.2], [0.25, 0.52], [0.7, 0.5]], [[0.62, 0.25], [0.6, 0.85]]]],
  ["7", [[[0.25, 0.2], [0.72, 0.18], [0.5, 0.55], [0.42, 0.85]]]],
  ["2", [[
    [0.28, 0.34], [0.3, 0.27], [0.34, 0.21], [0.4, 0.17], [0.47, 0.155], [0.54, 0.165], [0.6, 0.2], [0.64, 0.26], [0.645, 0.33],
    [0.625, 0.41], [0.58, 0.49], [0.51, 0.58], [0.42, 0.68], [0.35, 0.75], [0.29, 0.81], [0.36, 0.8], [0.5, 0.8], [0.62, 0.81], [0.72, 0.8],
  ]]],
  // Small and in a corner: size and place are the page's to mend.
  ["1", [[[0.85, 0.7], [0.86, 0.78], [0.85, 0.9]]]],
  ["0", [[[0.2, 0.06], [0.14, 0.1], [0.12, 0.18], [0.15, 0.25], [0.2, 0.27], [0.25, 0.24], [0.27, 0.17], [0.24, 0.09], [0.2, 0.06]]]],
];

const { values: options } = parseArgs({
  options: {
    trishift: { type: "string" }, trace: { type: "string" }, chromium: { type: "string", default: "chromium" },
    module: { type: "string" }, mnist: { type: "string" }, screenshot: { type: "string" },
  },
});
if (!options.trishift || !options.trace) throw new Error("--trishift and --trace are needed");

const folder = await mkdtemp(join(tmpdir(), "trishift-page-"));
const servers = [];
let chromium;
let failed = 0;

// Starts `trishift serve` on a free port.
async function serve(...more) {
  const server = spawn(options.trishift, ["serve", "--port", "0", "--json", ...more], { stdio: ["ignore", "pipe", "inherit"] });
  servers.push(server);
  for await (const line of createInterface({ input: server.stdout })) return { ...JSON.parse(line), server };
  throw new Error("trishift serve ended");
}

async function ends(server) {
  const ended = new Promise((resolve) => server.once("exit", resolve));
  server.kill("SIGINT");
  return ended;
}

async function test(name, run) {
  const start = Date.now();
  try {
    const said = await run();
    console.log(`test ${name} ... ok, ${Date.now() - start} ms${said ? `: ${said}` : ""}`);
  } catch (error) {
    failed += 1;
    console.log(`test ${name} ... FAILED: ${error.stack}`);
  }
}

const text = (page, id) => page.evaluate(`document.getElementById(${JSON.stringify(id)}).textContent`);
const titles = (page) => page.evaluate("[...document.querySelectorAll('.layer h2')].map((title) => title.firstChild.data)");

// The sentence with which the command refuses a file.
function refusalOf(path) {
  const { stderr, status } = spawnSync(options.trishift, ["inspect", path], { encoding: "utf8" });
  assert.equal(status, 2, stderr);
  return stderr.trim().split("cannot be used: ")[1];
}

// Runs samples through the module and gives all integers of all layers in base64; as text it goes to the page, too.
async function runSamples({ Model, load }, module, modelText, samplesText) {
  const unpack = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  await load(module);
  const model = new Model(unpack(modelText));
  const samples = unpack(samplesText);
  const [pieces, classes, start] = [[], [], performance.now()];
  for (let at = 0; at < samples.length; at += model.length) {
    model.quantize(samples.subarray(at, at + model.length));
    model.run();
    pieces.push(String.fromCharCode(...model.trace()));
    const logits = [...model.written(model.result)];
    classes.push(logits.indexOf(Math.max(...logits)));
  }
  const time = performance.now() - start;
  const layers = model.operators.map(({ start, output }) => {
    const { type, length } = model.tensors[output];
    return { start, type, length };
  });
  return { text: btoa(pieces.join("")), layers, classes, time, count: pieces.length, kernels: model.kernels };
}

// Compares integer by integer what a place (the page, or Node.js) makes of the samples with what this machine's runtime does.
async function compare(model, samples, run) {
  const [samplesPath, tracePath] = [join(folder, "samples"), join(folder, "trace")];
  await writeFile(samplesPath, samples);
  const said = execFileSync(options.trace, [model, samplesPath, tracePath], { encoding: "utf8" }).trim();
  const expected = await readFile(tracePath);
  const result = await run((await readFile(model)).toString("base64"), samples.toString("base64"));
  const found = Buffer.from(result.text, "base64");
  assert.equal(found.length, expected.length);
  const size = expected.length / result.count;
  let [integers, mismatches] = [0, 0];
  for (let sample = 0; sample < result.count; sample++) {
    for (const { start, type, length } of result.layers) {
      const [bytes, read] = type === "int8" ? [1, "readInt8"] : [4, "readInt32LE"];
      for (let at = sample * size + start; at < sample * size + start + bytes * length; at += bytes) {
        integers += 1;
        if (found[read](at) !== expected[read](at)) mismatches += 1;
      }
    }
  }
  const milliseconds = (result.time / result.count).toFixed(1);
  const sentence = `${integers} integers of all layers, ${mismatches} mismatches; ${milliseconds} ms an image; here ${said}`;
  return { integers, mismatches, classes: result.classes, sentence };
}

async function checks() {
  chromium = await Chromium.start(options.chromium);
  const { address, server } = await serve();
  const page = await chromium.openPage(1240, 1000);
  await page.call("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: "light" }] });
  await page.open(address);

  await test("drawn digits are recognised", async () => {
    for (const [digit, strokes] of DRAWN) {
      await page.evaluate("document.getElementById('clear').click()");
      await page.settle();
      assert.equal(await text(page, "answer"), "", "nothing is drawn");
      await page.draw("#pad", strokes.map((stroke) => stroke.map(([x, y]) => ({ x, y }))));
      assert.equal(await text(page, "answer"), digit);
    }
    return DRAWN.map(([digit]) => digit).join(" ");
  });

  await test("every example is what it says, by the keyboard", async () => {
    await page.evaluate("document.getElementById('pad').focus()");
    for (const digit of "0123456789") {
      await page.key(digit, `Digit${digit}`);
      await page.settle();
      assert.equal(await text(page, "answer"), digit);
    }
  });

  await test("each layer is shown, and read by the arrow keys", async () => {
    const inspected = JSON.parse(execFileSync(options.trishift, ["inspect", join(pageFolder, "model.tsm"), "--json"]));
    const operators = (await titles(page)).slice(1).map((title) => title.split(" ")[0]);
    assert.deepEqual(operators, inspected.layers.map(({ operator }) => operator));
    await page.evaluate("document.querySelector('.layer:last-child canvas').focus()");
    for (let i = 0; i < 3; i++) await page.key("ArrowRight", "ArrowRight");
    const said = await page.evaluate("document.querySelector('.layer:last-child output').textContent");
    const bar = await page.evaluate("document.querySelectorAll('#bars .number')[2].textContent");
    assert.ok(said.startsWith(`element 2: ${bar} `), `${said} is not ${bar}`);
    return said;
  });

  if (options.screenshot) {
    await page.evaluate("document.getElementById('clear').click()");
    await page.draw("#pad", DRAWN[2][1].map((stroke) => stroke.map(([x, y]) => ({ x, y }))));
    await page.evaluate("document.activeElement.blur(), scrollTo(0, 0)");
    await page.settle();
    await writeFile(options.screenshot, await page.screenshot());
  }

  const samples = options.mnist ? await mnist(options.mnist, COUNT) : await builtin(join(root, "trainer/data/digits.csv.gz"), COUNT);
  await test(`${COUNT} ${options.mnist ? "images of MNIST" : "images"} give this machine's integers`, async () => {
    const inPage = (...texts) =>
      page.evaluate(`import("./engine.js").then((engine) => (${runSamples})(engine, "trishift.wasm", ...${JSON.stringify(texts)}))`);
    const { mismatches, classes, sentence } = await compare(join(pageFolder, "model.tsm"), samples, inPage);
    assert.equal(mismatches, 0, sentence);
    if (!options.mnist) return sentence;
    const labels = (await readFile(options.mnist.replace("images-idx3", "labels-idx1"))).subarray(LABELS_HEADER);
    return `${sentence}; ${classes.filter((found, index) => found === labels[index]).length} of ${COUNT} right`;
  });

  if (options.module) {
    await test("a module built anew gives them, too", async () => {
      const module = await readFile(options.module);
      const here = async (...texts) => runSamples(await import("../../page/engine.js"), module, ...texts);
      const { mismatches, sentence } = await compare(join(pageFolder, "model.tsm"), samples, here);
      assert.equal(mismatches, 0, sentence);
      return sentence;
    });
  }

  await test("a model dropped on the page runs", async () => {
    await page.drop([join(models, "spoken.tsm")]);
    await page.until("document.title.startsWith('spoken-digits')");
    assert.equal(await page.evaluate("document.getElementById('drawing').hidden"), true);
    assert.match(await text(page, "numbers-note"), /2×32×1 numbers/);
    const first = await text(page, "bars");
    await page.evaluate("document.getElementById('zeros').click()");
    assert.notEqual(await text(page, "bars"), first);
    assert.equal(await text(page, "message"), "");
  });

  await test("numbers are an input, other texts are refused with a sentence", async () => {
    const [good, bad] = [join(folder, "numbers.txt"), join(folder, "words.txt")];
    await writeFile(good, Array.from({ length: 64 }, (_, index) => 300 + index).join("\n"));
    await writeFile(bad, "12 apples");
    await page.drop([bad]);
    await page.until("!document.getElementById('message').hidden");
    assert.equal(await text(page, "message"), "words.txt: “apples” is not a whole number below 10⁹.");
    await page.drop([good]);
    await page.until("document.getElementById('message').hidden");
  });

  await test("a picture is an input where drawings are", async () => {
    const picture = join(root, "docs/page.png");
    await page.drop([picture]);
    await page.until("!document.getElementById('message').hidden");
    assert.equal(await text(page, "message"), "page.png: this model takes no images.");
    const other = await chromium.openPage(1240, 1000);
    await other.open(address);
    const before = await text(other, "bars");
    await other.drop([picture]);
    await other.until("document.getElementById('hint').hidden === false");
    await other.until(`document.getElementById('bars').textContent !== ${JSON.stringify(before)}`);
    assert.deepEqual([await text(other, "message"), other.errors], ["", []]);
    await other.close();
    await page.call("Page.bringToFront");
  });

  await test("a damaged model is refused with the command's sentence, and the one before stays", async () => {
    const file = await readFile(join(models, "digits.tsm"));
    const damaged = [["flipped.tsm", Buffer.from(file)], ["cut.tsm", file.subarray(0, 1000)], ["empty.tsm", Buffer.alloc(0)]];
    damaged[0][1][1500] ^= 4;
    damaged.push(["checkpoint.tsc", await readFile(join(root, "shared-format/tests/golden/checkpoint-0.4.tsc"))]);
    damaged.push(["page.bin", await readFile(join(pageFolder, "icon.svg"))]);
    const said = [];
    for (const [name, contents] of damaged) {
      const path = join(folder, name);
      await writeFile(path, contents);
      await page.drop([path]);
      await page.until(`document.getElementById('message').textContent.startsWith(${JSON.stringify(name)})`);
      const sentence = await text(page, "message");
      assert.equal(sentence, `${name}: ${refusalOf(path)}.`);
      assert.ok((await page.evaluate("document.title")).startsWith("spoken-digits"));
      said.push(sentence);
    }
    return `\n  ${said.join("\n  ")}`;
  });

  await test("a model for images of another size takes drawings, too", async () => {
    await page.drop([join(models, "digits.tsm")]);
    await page.until("document.title.startsWith('digits-mlp')");
    await page.evaluate("document.getElementById('clear').click()");
    await page.draw("#pad", DRAWN[1][1].map((stroke) => stroke.map(([x, y]) => ({ x, y }))));
    assert.equal(await text(page, "message"), "");
    assert.equal(await text(page, "answer"), "7");
  });

  await test("without network and server, the page reloads and works", async () => {
    await page.until("navigator.serviceWorker.controller !== null");
    assert.equal(await ends(server), 0);
    await page.offline(true);
    const before = page.errors.length;
    await page.reload();
    await page.draw("#pad", DRAWN[0][1].map((stroke) => stroke.map(([x, y]) => ({ x, y }))));
    assert.equal(await text(page, "answer"), "4");
    page.errors.length = before;
    await page.offline(false);
  });

  await test("on a phone nothing is wider than the screen", async () => {
    await page.resize(360, 740);
    await page.settle();
    assert.ok((await page.evaluate("document.documentElement.scrollWidth")) <= 360);
  });

  await test("trishift serve takes a model of one's own", async () => {
    const chosen = await serve(join(models, "motion.tsm"));
    const other = await chromium.openPage(1240, 1000);
    await other.open(chosen.address);
    assert.match(await text(other, "facts"), /motion\.tsm/);
    assert.equal(await text(other, "message"), "");
    assert.deepEqual(other.errors, []);
    assert.equal(await ends(chosen.server), 0);
  });

  await test("no script failed and no file was missed", async () => assert.deepEqual(page.errors, []));
}

try {
  await checks();
} finally {
  await chromium?.stop();
  for (const server of servers) server.kill();
  await rm(folder, { recursive: true, force: true });
}
console.log(failed === 0 ? "the page does what it should" : `${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
