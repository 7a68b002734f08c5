/** For operators of a project: health, usage and the audit log. */

import { fill, h } from "../elements.js";
import { texts } from "../texts.js";
import { AuditSection } from "./audit.js";
import { HealthSection } from "./health.js";
import { UsageSection } from "./usage.js";

class KeepsakeOperations extends HTMLElement {
  connectedCallback() {
    const sections = [new HealthSection(), new UsageSection(), new AuditSection()];
    fill(this, h("h1", {}, texts.operations.title), ...sections.map((each) => each.element));
    for (const each of sections) void each.load();
  }
}

customElements.define("keepsake-operations", KeepsakeOperations);
