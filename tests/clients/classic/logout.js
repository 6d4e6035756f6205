const response = await fetch("%URL%/logout.json?s=sipibxelb9gwf0y", {
  method: "POST",
});

console.log("Response: ", response.success || response.error);
