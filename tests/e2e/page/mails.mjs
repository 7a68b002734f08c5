// Signs up and recovers with the links of real e-mails. The mail server is here, at the port that MAIL_PORT names.
import { createServer } from "node:net";
import { newPerson, PASSWORD, problems, report, url } from "./person.mjs";

const mails = [];
const server = createServer((socket) => {
  let waiting = "";
  let inMail = false;
  socket.write("220 ready\r\n");
  socket.setEncoding("utf8").on("data", (data) => {
    waiting += data;
    for (let end = waiting.indexOf(inMail ? "\r\n.\r\n" : "\r\n"); end >= 0; end = waiting.indexOf(inMail ? "\r\n.\r\n" : "\r\n")) {
      const text = waiting.slice(0, end);
      waiting = waiting.slice(end + (inMail ? 5 : 2));
      if (inMail) mails.push(text);
      inMail = !inMail && text.toUpperCase() === "DATA";
      if (text.toUpperCase() === "QUIT") socket.end("221 bye\r\n");
      else socket.write(inMail ? "354 go on\r\n" : "250 ok\r\n");
    }
  });
});
await new Promise((resolve) => server.listen(Number(process.env.MAIL_PORT), "127.0.0.1", () => resolve(undefined)));

/** The link in the next e-mail, in quoted-printable or not. */
async function nextLink() {
  for (let tries = 0; tries < 100 && !mails.length; tries += 1) await new Promise((resolve) => setTimeout(resolve, 100));
  const text = mails.shift()?.replaceAll("=\r\n", "").replaceAll("=3D", "=") ?? "";
  const link = /https?:\/\/[^\s"'<>]+token[^\s"'<>]+/.exec(text);
  if (!link) throw new Error("no link was mailed");
  return link[0].replaceAll("&amp;", "&");
}

const email = `mail-${Date.now()}@example.com`;
const { page, look, go, expect, stop } = await newPerson();
try {
  await page.goto(url);
  await page.getByRole("button", { name: "Create an account" }).click();
  await page.getByLabel("E-mail address").fill(email);
  await page.getByLabel("Password (at least 8 characters)").fill(PASSWORD);
  await page.getByRole("button", { name: "Create account" }).click();
  await expect(page.getByText("We sent you an e-mail."), "the wish to confirm the address");
  await look("confirm");
  await page.goto(await nextLink());
  await page.getByRole("navigation").getByRole("link", { name: "Chat" }).waitFor();
  if (page.url().includes("token")) problems.push("a token remains in the address");

  await go("Account");
  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await page.getByRole("button", { name: "Forgot your password?" }).click();
  await page.getByLabel("E-mail address").fill(email);
  await page.getByRole("button", { name: "Send a link" }).click();
  await expect(page.getByText("If there is an account with this address"), "what happens next");
  const link = await nextLink();
  await page.goto(link);
  await page.getByRole("heading", { name: "Choose a new password" }).waitFor();
  await page.getByLabel("Password (at least 8 characters)").fill("another horse battery");
  await page.getByRole("button", { name: "Set password" }).click();
  await page.getByRole("navigation").getByRole("link", { name: "Chat" }).waitFor();
  await page.goto(link);
  await expect(page.getByText("This link does not work any more.").or(page.getByText("expired")), "that a link works once");
  await look("used-link");
} catch (error) {
  await stop(error);
}
server.close();
await report();
