// A person gives an application access: from its link, over the sign-up, to the address that it waits at.
import { more, newPerson, PASSWORD, problems, report } from "./person.mjs";

const [link, callback] = more;
const { context, page, expect, look, stop } = await newPerson();
let returned = "";

try {
  await context.route(`${callback}**`, (route) => {
    returned = route.request().url();
    return route.fulfill({ contentType: "text/plain", body: "You can close this window." });
  });
  await page.goto(link);
  await page.getByRole("button", { name: "Create an account" }).click();
  await page.getByLabel("E-mail address").fill(`vera-${Date.now()}@example.com`);
  await page.getByLabel("Password (at least 8 characters)").fill(PASSWORD);
  await page.getByRole("button", { name: "Create account" }).click();
  await page.getByRole("heading", { name: "Give an application access?" }).waitFor();
  await expect(page.getByText("Notebook <b>x</b> asks to act as you."), "the client");
  await expect(page.getByText(/^In the project: \S/), "the project");
  await expect(page.getByText("add, change and delete memories"), "the scopes");
  await expect(page.getByText(new URL(callback).host), "where the person returns to");
  await look("authorize");
  await page.getByRole("button", { name: "Allow" }).click();
  await page.waitForURL(`${callback}**`);
  await page.goto(`${new URL(link).origin}/#account`);
  await expect(page.getByRole("heading", { name: "Notebook <b>x</b>" }), "the application is listed");
  await expect(page.getByText("Registered itself: its name was not checked"), "what is known about it");
  await page.getByRole("button", { name: "End access: Notebook <b>x</b>" }).click();
  await page.getByRole("button", { name: "Cancel" }).click();
  await look("grants");
} catch (error) {
  await stop(error);
}
// Leaving the page is what this is about.
const others = problems.filter((each) => !each.includes(callback));
problems.splice(0, problems.length, ...others);
console.log(returned);
await report();
