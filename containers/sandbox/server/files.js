"use strict";
// Files under the state directory, over HTTP.
const fs = require("node:fs");
const path = require("node:path");
const { pipeline } = require("node:stream/promises");
const { answer } = require("./answer.js");

const ROOT = process.env.DATA_DIR ?? "/data";
const METHODS = { GET: read, PUT: write, DELETE: remove };

exports.files = (request, response, url) => {
  const method = METHODS[request.method];
  if (!method) return answer(response, 405, { error: "method_not_allowed" });
  const target = confined(url.pathname.slice("/files/".length));
  if (target === null) return answer(response, 400, { error: "bad_path" });
  method(target, request, response).catch((problem) => failed(response, problem));
};

/** The path below ROOT, or null when it would lead out of it. */
function confined(encoded) {
  let relative;
  try {
    relative = decodeURIComponent(encoded);
  } catch {
    return null;
  }
  if (relative.includes("\0") || relative.split("/").includes("..")) return null;
  return path.join(ROOT, relative);
}

async function read(target, _request, response) {
  if (target === ROOT || target === `${ROOT}/`) return answer(response, 200, { files: await list(ROOT) });
  const handle = await fs.promises.open(target);
  try {
    const stat = await handle.stat();
    if (stat.isDirectory()) return answer(response, 200, { files: await list(target) });
    const head = { "content-type": "application/octet-stream", "last-modified": stat.mtime.toUTCString() };
    if (stat.size <= 65_536) {
      const body = await handle.readFile();
      response.writeHead(200, { ...head, "content-length": body.length });
      response.end(body);
      return;
    }
    response.writeHead(200, { ...head, "content-length": stat.size });
    await pipeline(handle.createReadStream({ autoClose: false, end: stat.size - 1 }), response);
  } finally {
    await handle.close();
  }
}

async function list(directory) {
  const entries = await fs.promises.readdir(directory, { recursive: true, withFileTypes: true });
  const files = [];
  for (const entry of entries) {
    const full = path.join(entry.parentPath, entry.name);
    const stat = await fs.promises.lstat(full);
    const type = stat.isDirectory() ? "directory" : stat.isSymbolicLink() ? "symlink" : "file";
    files.push({
      path: path.relative(ROOT, full),
      type,
      bytes: stat.size,
      mode: stat.mode & 0o7777,
      mtimeMs: stat.mtimeMs,
    });
  }
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

async function write(target, request, response) {
  await fs.promises.mkdir(path.dirname(target), { recursive: true });
  await pipeline(request, fs.createWriteStream(target));
  answer(response, 201, { path: path.relative(ROOT, target), bytes: (await fs.promises.stat(target)).size });
}

async function remove(target, _request, response) {
  if (target === ROOT || target === `${ROOT}/`) {
    // Empties it; the directory itself belongs to the volume.
    for (const name of await fs.promises.readdir(ROOT))
      await fs.promises.rm(path.join(ROOT, name), { recursive: true });
  } else {
    await fs.promises.rm(target, { recursive: true });
  }
  response.writeHead(204);
  response.end();
}

const STATUS = { ENOENT: 404, ENOTDIR: 404, EISDIR: 409, EEXIST: 409, EACCES: 403, EPERM: 403, ENOSPC: 507 };

function failed(response, problem) {
  if (response.headersSent) return response.destroy();
  answer(response, STATUS[problem.code] ?? 500, { error: problem.code ?? "internal", detail: problem.message });
}
