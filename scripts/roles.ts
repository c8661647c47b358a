import { app, openApiDocument } from "../src/app.ts";
import { matrixOf } from "./roles/matrix.ts";

/** The role-by-route matrix, from the OpenAPI document; with `--check` it only says which routes have no row. */
const { rows, gaps } = matrixOf(openApiDocument(), app.routes);

if (!process.argv.includes("--check")) {
  for (const { method, path, permission, roles } of rows) {
    console.log(`${method.padEnd(6)} ${path}  ${permission}  ${roles.join(" ")}`);
  }
}
for (const gap of gaps) console.error(gap);
if (gaps.length > 0) process.exitCode = 1;
