"use strict";
// What the workload can see of its own container. Names of variables and secrets only: this may be shown anywhere.
const fs = require("node:fs");
const { answer } = require("./answer.js");

exports.whoami = (request, response) =>
  answer(response, 200, {
    headers: request.headers,
    env: Object.keys(process.env).sort(),
    uid: process.getuid(),
    gid: process.getgid(),
    groups: process.getgroups(),
    pid: process.pid,
    user: process.env.USER ?? null,
    cwd: process.cwd(),
  });

exports.config = (_request, response) =>
  answer(response, 200, {
    config: parsed("/run/boilerhouse/config.json"),
    secrets: names(process.env.SECRETS_DIR ?? "/run/secrets"),
  });

function parsed(path) {
  try {
    return JSON.parse(fs.readFileSync(path, "utf8"));
  } catch (problem) {
    if (problem.code === "ENOENT") return null;
    throw problem;
  }
}

function names(directory) {
  try {
    return fs.readdirSync(directory).sort();
  } catch (problem) {
    if (problem.code === "ENOENT") return [];
    throw problem;
  }
}
