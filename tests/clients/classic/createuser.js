const response = await fetch("%URL%/createuser.json", {
  method: "POST",
  body: JSON.stringify({
    username: "joe",
    password: "supersecure",
  }),
});
