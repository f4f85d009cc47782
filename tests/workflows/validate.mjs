// GitHub's own validator, over the files that are named. Prints what it finds as JSON lines; finds nothing: nothing.
// The packages (@actions/languageservice) are found below the folder that NODE_MODULES names.
import { createRequire, register } from "node:module";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { basename, join } from "node:path";

// The packages import JSON as bundlers do; Node wants to be told what it is.
const hook = `export async function load(url, context, next) {
  return next(url, url.endsWith(".json") ? { ...context, importAttributes: { type: "json" } } : context);
}`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);

const root = process.env.NODE_MODULES;
const at = (name) => import(pathToFileURL(join(root, name)).href);
const { validate } = await at("@actions/languageservice/dist/validate.js");
const { validateAction } = await at("@actions/languageservice/dist/validate-action.js");
const { TextDocument } = createRequire(join(root, "x.js"))("vscode-languageserver-textdocument");

const { parse } = createRequire(join(root, "x.js"))("yaml");
// What `with:` may hold: of the action that we ship by its own file, of others by their doubles.
const actionsMetadataProvider = {
  async fetchActionMetadata({ owner, name }) {
    const file = owner === "actions" ? join(process.env.DOUBLES, name, "action.yml") : process.env.ACTION;
    const { description, inputs, outputs, runs } = parse(readFileSync(file, "utf8"));
    return { name, description, inputs, outputs, runs };
  },
};
for (const path of process.argv.slice(2)) {
  const isAction = basename(path) === "action.yml";
  const uri = isAction ? "file:///action.yml" : `file:///.github/workflows/${basename(path)}`;
  const document = TextDocument.create(uri, "yaml", 0, readFileSync(path, "utf8"));
  const found = await (isAction ? validateAction : validate)(document, { actionsMetadataProvider });
  for (const one of found) console.log(JSON.stringify({ path, line: one.range.start.line + 1, message: one.message }));
}
