// The page: its frame, its views, and which object they are about.
import { ask, useAnswer } from "./api.js";
import { Changes } from "./changes.js";
import { html, render, useEffect, useRef } from "./html.js";
import { Out } from "./links.js";
import { LakeNotice, Loading, Notice, Problem } from "./notices.js";
import { Overview } from "./overview.js";
import { Quarantine } from "./quarantine.js";
import { Records } from "./records.js";
import { go, hashOf, useRoute, VIEWS } from "./routes.js";

function Page() {
  const route = useRoute();
  const main = useRef(null);
  const first = useRef(true);
  useEffect(() => {
    document.title = `${VIEWS[route.view]} · Salesforce history`;
    if (first.current) first.current = false;
    else main.current.focus({ preventScroll: true });
  }, [route.view, route.noun, route.id]);
  return html`<div class="page">
    <a class="skip" href="#main" onClick=${skip(main)}>Skip to the content</a>
    <header class="top">
      <p class="brand"><span aria-hidden="true" class="brand-mark"></span>Salesforce history</p>
      <nav aria-label="Views" class="tabs">
        ${Object.entries(VIEWS).map(
          ([view, name]) =>
            html`<a
              key=${view}
              href=${hashOf(view, view === "overview" ? null : route.noun)}
              aria-current=${route.view === view ? "page" : undefined}
            >${name}</a>`,
        )}
      </nav>
      <p class="zone muted">All times are UTC</p>
    </header>
    <main id="main" tabindex="-1" ref=${main}>
      ${route.view === "overview" ? html`<${Overview} />` : html`<${OfObject} route=${route} />`}
    </main>
  </div>`;
}

const skip = (main) => (event) => {
  event.preventDefault();
  main.current.focus();
};

const DETAILS = { record: Records, changes: Changes, quarantine: Quarantine };

/** A view of one object: the overview says which objects there are. */
function OfObject({ route }) {
  const { answer, problem, again } = useAnswer("objects", (signal) => ask(["overview"], {}, signal));
  if (problem) return html`<${Problem} problem=${problem} again=${again} alone />`;
  if (!answer) return html`<${Loading} what="Reading the lake" />`;
  if (answer.lake.state === "unreachable")
    return html`<${LakeNotice} lake=${answer.lake} objects=${answer.objects} again=${again} alone />`;
  const { objects } = answer;
  const object = route.noun
    ? objects.find(({ noun }) => noun === route.noun)
    : (objects.find(({ freshness }) => freshness.state !== "empty") ?? objects[0]);
  if (!object) {
    const names = objects.map(({ noun }) => noun).join(", ");
    return html`<${Notice} kind="error" alone heading="There is no such object"
      ><p>${route.noun ?? "No object"} is not kept here.</p>
      <p><strong>What to do:</strong> ${names ? `Choose one of: ${names}.` : "Add an object file."}</p><//
    >`;
  }
  const chooser = objects.length > 1 && html`<${Chooser} objects=${objects} object=${object} view=${route.view} />`;
  if (object.freshness.state === "empty" && !object.quarantined)
    return html`<${NothingYet} object=${object} chooser=${chooser} again=${again} />`;
  const View = DETAILS[route.view];
  return html`<${View} key=${object.noun} object=${object} route=${route} now=${answer.now} chooser=${chooser} />`;
}

function NothingYet({ object, chooser, again }) {
  const action = html`<${Out} href=${object.dag_url} class="button button-solid">Open ${object.dag_id}<//>${" "}
    <button class="button" type="button" onClick=${again}>Look again</button>`;
  return html`<div>
    <div class="view-head"><h1>${object.object}</h1>${chooser}</div>
    <${Notice} heading=${`Nothing is known of ${object.object} yet`} action=${action}>
      <p>No run of ${object.dag_id} has published anything.</p>
      <p><strong>What to do:</strong> Switch it on in Airflow, or trigger it. Its first run reads everything there is.</p>
    <//>
  </div>`;
}

function Chooser({ objects, object, view }) {
  const chosen = (event) => go(hashOf(view, event.currentTarget.value));
  return html`<label class="field field-inline">
    <span>Object</span>
    <select value=${object.noun} onChange=${chosen}>
      ${objects.map(({ noun, object: name }) => html`<option key=${noun} value=${noun}>${name}</option>`)}
    </select>
  </label>`;
}

const place = document.getElementById("page");
place.replaceChildren();
render(html`<${Page} />`, place);
