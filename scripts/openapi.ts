import { openApiDocument } from "../src/app.ts";
import { generate } from "./generated.ts";

/** docs/openapi.json, from the schemas that validate. */
generate("docs/openapi.json", `${JSON.stringify(openApiDocument(), null, 2)}\n`);
