const response = await fetch("%URL%/login.json", {
  method: "POST",
  body: JSON.stringify({
    username: "joe",
    password: "supersecure",
  }),
});

console.log("Your session is: ", response.id);
