// Keeps the list of the newest pastes current. Without it, the list is as old as the page.
const newest = document.getElementById("list");
const pastes = (list) =>
  [...list.querySelectorAll("a")].map((link) => link.getAttribute("href")).join();
if (newest) {
  new EventSource("/live").onmessage = (event) => {
    const list = document.createElement("div");
    // The server has escaped what people wrote.
    list.innerHTML = event.data;
    // The same list is not put in anew, as that would disturb a reader or a click.
    if (pastes(list) !== pastes(newest)) newest.replaceChildren(...list.childNodes);
  };
}
